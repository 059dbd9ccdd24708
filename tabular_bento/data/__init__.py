"""The data layer: every source, the traffic log and the outcomes."""
