"""The Evaluation layer: metrics with intervals, baselines, the reference that drift is measured by, paired tests."""
