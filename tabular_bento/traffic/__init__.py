"""The traffic log: what it holds, how it is written, read and sealed."""
