"""The one tree of exceptions. Every message says what was wrong, where, and what to do."""

from __future__ import annotations


class TabularBentoError(Exception):
    """Base of every error of this library."""


class ProblemError(TabularBentoError):
    """A problem is declared in a way that cannot work; the message lists everything that is wrong."""


class ProjectError(TabularBentoError):
    """There is no project, or its table in pyproject.toml does not say what is needed."""


class ScaffoldError(TabularBentoError):
    """No sensible project can be made of a table."""


class DataError(TabularBentoError):
    """Base of every error of the data layer."""


class StorageError(DataError):
    """A file system cannot be reached, or needs a package that is not installed."""


class SourceError(DataError):
    """A source cannot be found or read."""


class TableError(DataError):
    """A table breaks its schema: a missing column, a wrong type, a duplicate key, a value out of range."""


class SnapshotError(DataError):
    """The data are not those that a package was trained on; the message lists what differs."""


class LogError(DataError):
    """The traffic log cannot be written, read or sealed."""


class DamagedFileError(LogError):
    """A sealed file of the traffic log cannot be read.

    Parameters
    ----------
    path : str
        The file.
    why : str
        What is wrong with it.
    """

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, why)
        self.path = path
        self.why = why

    def __str__(self) -> str:
        return f"{self.path} cannot be read: {self.why}. If it is damaged, restore it from a copy of the log."


class ScoringError(TabularBentoError):
    """Base of every error of the scoring layer."""


class PackageError(ScoringError):
    """A model package is missing, damaged, or made by another declaration or feature code: it must not be served."""


class NetworkError(ScoringError):
    """A neural network has a layer that cannot be served, or weights that are not those of its layers."""


class PredictionError(ScoringError):
    """The model returned what must not be sent: a wrong length, or a number that is not finite."""


class RequestError(ScoringError):
    """A request that cannot be served as it is; the message names the field, input or model at fault."""


class UnknownModelError(RequestError):
    """A request for a model or a version that is not served."""


class TooLargeError(RequestError):
    """More rows or bytes in one request than the settings allow."""


class OverloadError(ScoringError):
    """More rows are waiting than the server accepts; try again after `retry_after` seconds."""

    retry_after = 1


class ServerError(ScoringError):
    """A server of this machine cannot be found, signalled or asked."""


class TrainingError(TabularBentoError):
    """Base of every error of training."""


class ConfigError(TrainingError):
    """The configuration cannot be read or holds a setting that means nothing."""


class MemoryLimitError(TrainingError):
    """There is less memory than a training needs; it was not begun."""


class ModelFileError(TrainingError):
    """The file of a model that was fitted elsewhere cannot be imported."""


class GateError(TrainingError):
    """The model is not good enough to be saved."""


class ReleaseError(TrainingError):
    """The champion cannot be moved: what it should be, or what it is, is not what was expected."""


class MonitoringError(TabularBentoError):
    """Base of every error of the evaluation layer."""


class PackageReferenceError(MonitoringError):
    """The model package to compare with is not in the store, is damaged, or holds no usable profile."""


class WindowError(MonitoringError):
    """The window cannot be read as it was asked for."""


class SpillError(MonitoringError):
    """The folder that a pass spills rows to is full, or cannot be reached."""


class ClusterError(MonitoringError):
    """Dask is not installed, or its scheduler or its workers fail."""


class OutputError(MonitoringError):
    """What was found out could not be handed on; the verdict stands."""


class ReplayError(MonitoringError):
    """A replay was asked for that cannot be made, such as one of months without rows."""


class CompareError(MonitoringError):
    """Two models cannot be compared as it was asked for."""


class RowsError(CompareError):
    """What was named to compare on is neither a kind of rows nor a Parquet file."""


class MetricError(CompareError):
    """The metric that was named is not compared for the task."""


class UnreadableModelError(CompareError):
    """A model that is there, and that this checkout cannot compute."""


class SkewError(MonitoringError):
    """Logged traffic cannot be recomputed."""


class ClientError(TabularBentoError):
    """Base of every error of the client."""


class UnreachableError(ClientError):
    """Nothing listens at the server's address, or what listens there is no server of this kind: nothing was sent."""


class LostResponseError(ClientError):
    """The connection broke or the time was up after a request was sent: it may have been computed and logged."""


class ResponseError(ClientError):
    """The server's response is none to the request: of another length, to other rows, or not readable."""


class RefusedError(ClientError):
    """The server refused a request.

    Parameters
    ----------
    status : str
        The HTTP status, such as `400`, or the name of the gRPC code, such as `INVALID_ARGUMENT`.
    message : str
        What the server said.
    detail : list of dict
        What was wrong where, in the server's words, where it said so: `loc` and `msg` of each.
    retry_after : float, optional
        After how many seconds the request may be sent again, where the server said so; it did not compute it.
    """

    def __init__(
        self,
        status: str,
        message: str,
        detail: list[dict[str, object]] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail or []
        self.retry_after = retry_after
