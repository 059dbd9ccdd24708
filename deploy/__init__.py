"""From a model to a signed image in a registry: build, containerize, smoke test, scan, list, push, sign."""
