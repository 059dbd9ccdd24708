"""Past rows sent to a running server as live traffic, by a client of each door."""
