"""What training raises. Every message says what was wrong, where, and what to do."""

from __future__ import annotations


class TrainingError(Exception):
    """Base of every error of training."""


class ConfigError(TrainingError):
    """The configuration cannot be read or holds a setting that means nothing."""


class GateError(TrainingError):
    """The model is not good enough to be saved."""


class ReleaseError(TrainingError):
    """The champion cannot be moved: what it should be, or what it is, is not what was expected."""
