"""What the scoring layer raises. Every message says what was wrong, where, and what to do."""

from __future__ import annotations

from bentoml.exceptions import BentoMLException


class ScoringError(BentoMLException):
    """Base of every error of the scoring layer; the bentoml command prints it as one sentence."""


class PackageError(ScoringError):
    """A model package is missing, damaged, or made by another declaration or feature code: it must not be served."""


class PredictionError(ScoringError):
    """The model gave an answer that must not leave: a wrong length, or a number that is not finite."""


class RequestError(ScoringError):
    """A request that cannot be answered as it is; the message names the field, input or model at fault."""


class UnknownModelError(RequestError):
    """A request for a model or a version that is not served."""


class TooLargeError(RequestError):
    """More rows or bytes in one request than the settings allow."""


class OverloadError(ScoringError):
    """More rows are waiting than the server accepts; try again after `retry_after` seconds."""

    retry_after = 1
