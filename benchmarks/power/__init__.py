"""The power study: how many drawn shifts the drift job finds, beside its false alarms."""
