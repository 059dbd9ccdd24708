"""The study of the comparison's decision: how often it accepts a candidate that is worse."""
