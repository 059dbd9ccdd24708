"""Past rows sent to a running server as live traffic: `tabular_bento.monitoring.replay.job.replay`."""
