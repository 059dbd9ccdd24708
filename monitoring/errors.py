"""What the evaluation layer raises. Every message says what was wrong, where, and what to do."""

from __future__ import annotations


class MonitoringError(Exception):
    """Base of every error of the evaluation layer."""


class PackageReferenceError(MonitoringError):
    """The model package to compare with is not in the store, is damaged, or holds no usable profile."""


class WindowError(MonitoringError):
    """The window cannot be read as it was asked for."""


class SpillError(MonitoringError):
    """The folder for what a pass sets aside is full, or cannot be reached."""


class ClusterError(MonitoringError):
    """Dask is not installed, or its scheduler or its workers fail."""


class OutputError(MonitoringError):
    """What was found out could not be handed on; the verdict stands."""


class ReplayError(MonitoringError):
    """A replay was asked for that cannot be made, such as one of months without flights."""


class UnreachableError(ReplayError):
    """The server does not answer at all."""


class CompareError(MonitoringError):
    """Two models cannot be compared as it was asked for."""


class UnreadableModelError(CompareError):
    """A model that is there, and that this checkout cannot compute."""


class SkewError(MonitoringError):
    """Logged traffic cannot be recomputed."""
