"""Whether one model may take the place of another: `tabular_bento.monitoring.compare.job.run`."""
