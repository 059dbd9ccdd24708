"""The evaluation layer: replay, drift, outcomes and metrics."""
