"""Whether one model may take the place of another: `tabular_bento.monitoring.comparison.job.run`."""
