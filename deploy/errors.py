"""Errors of the steps; each message says what was wrong and what to do."""

from __future__ import annotations


class DeployError(Exception):
    """A step failed."""


class ToolError(DeployError):
    """A tool is not installed, or a network service did not respond: nothing is known."""
