"""The problem of this project and its features."""
