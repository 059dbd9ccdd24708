"""Rows of flights for tests."""

from __future__ import annotations

from typing import Any

from features.problem import PROBLEM
from tabular_bento.features import Row
from tabular_bento.protocol import RequestSchema
from tests import strategies

EXAMPLE: dict[str, Any] = dict(PROBLEM.example)
SECOND = {**EXAMPLE, "id": "my-flight-2", "dest": "PHX", "dep_delay": -3.5}
"""A good request beside the example."""

KNOWN = {
    "carrier": ["UA", "AA", "B6", "9E", "HA"],
    "tailnum": ["N14228", "N24211", "N619AA"],
    "origin": ["EWR", "JFK", "LGA"],
    "dest": ["IAH", "HNL", "PHX", "SJU", "ANC", "LAX", "BQN"],
}
"""Values that a trained extractor knows, so that random rows meet its tables and not only their unknown cells."""

SCHEMA = RequestSchema(PROBLEM.declaration)

rows = strategies.rows_of_fields(PROBLEM.fields, KNOWN)
"""Any validated row."""


def from_json(*requests: dict[str, Any]) -> list[Row]:
    """Rows as the server makes them of a request."""
    return strategies.parsed(SCHEMA, *requests)


def to_json(row: Row) -> dict[str, Any]:
    """A row as a client writes it."""
    return strategies.to_json(row, PROBLEM.fields)


def expected(package: Any, *requests: dict[str, Any]) -> list[float]:
    """What a package predicts without a server."""
    predicted: list[float] = package.predictor.predict(from_json(*requests)).value.tolist()
    return predicted
