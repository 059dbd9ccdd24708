"""What a step on the way to an image raises: one sentence that says what was wrong and what to do."""

from __future__ import annotations


class DeployError(Exception):
    """A step that did not do what it is for."""


class ToolError(DeployError):
    """A tool that is not installed, or a service of the network that did not answer: nothing was found out."""
