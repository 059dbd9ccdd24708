"""This service beside the usual way to serve the same model, measured in one run; `python -m benchmarks --help`."""
