"""The evaluation layer: replay, drift, labels and metrics."""
