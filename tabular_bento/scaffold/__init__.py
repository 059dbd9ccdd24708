"""A project from a table: what its columns are, what the project declares of them, and its files."""
