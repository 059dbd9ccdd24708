"""One pass over a window of the traffic log, in bounded memory: what its rows and their labels add up to."""
