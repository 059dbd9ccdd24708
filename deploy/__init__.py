"""From a released model to a signed image in a registry: build, containerize, smoke test, scan, list, sign, push."""
