"""The jobs that look at traffic: drift, comparison of models, skew, and replay."""
