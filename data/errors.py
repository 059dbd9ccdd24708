"""What the data layer raises. Every message says what was wrong, where, and what to do."""

from __future__ import annotations


class DataError(Exception):
    """Base of every error of the data layer."""


class StorageError(DataError):
    """A file system cannot be reached, or needs a package that is not installed."""


class SourceError(DataError):
    """A source cannot be found or read."""


class TableError(DataError):
    """A table breaks its schema: a missing column, a wrong type, a duplicate key, a value out of range."""


class LogError(DataError):
    """The traffic log cannot be written, read or sealed."""
