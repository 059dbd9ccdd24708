"""Whether one model may take the place of another: `monitoring.compare.job.run`, and its command."""
