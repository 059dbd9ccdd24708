"""The drift job: a verdict on a window of the traffic log, its page, and what hands it on."""
