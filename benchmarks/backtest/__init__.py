"""The back-test: the drift job on windows whose truth is known."""
