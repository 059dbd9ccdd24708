"""What the service computed before the library was split off, in the forms of the library."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.problem import PROBLEM
from tabular_bento.features import Codes, Extractor, Row, State
from tabular_bento.schema import Kind
from tabular_bento.scoring.predictor import Predictor
from tabular_bento.scoring.runners.xgboost import XGBoostRunner

FOLDER = Path(__file__).parent

VOCABULARIES = {
    "airport": "airports.faa",
    "carrier": "carrier",
    "dest": "dest",
    "origin": "origin",
    "tailnum": "planes.tailnum",
}
"""The names of vocabularies in a fitted state, by what they were called before."""

TABLES = {
    "air_time_by_route": "usual_air_time",
    "block_by_carrier_route": "usual_block",
    "departures_by_hour": "departures",
    "distance": "miles",
    "gain_by_carrier_hour": "gain_by_carrier_hour",
    "gain_by_carrier_route": "gain_by_carrier_route",
    "gain_by_dest": "gain_by_dest",
    "plane_seats": "seats",
    "plane_year": "plane_built",
    "taxi_by_origin_hour": "usual_taxi",
}
"""The names of look-ups, by what their tables were called before."""


def state(package: Path = FOLDER / "package") -> State:
    """The extractor of a package of format 1."""
    document = json.loads((package / "extractor.json").read_text(encoding="utf-8"))
    with np.load(package / "extractor.npz") as arrays:
        tables = {TABLES[name]: arrays[name] for name in arrays.files}
    vocabularies = {VOCABULARIES[name]: Codes(values) for name, values in document["vocabularies"].items()}
    clocks = ["" if zone == "None" else zone for zone in document["zones"]]
    return State(vocabularies, tables, {"clocks": clocks})


def extractor() -> Extractor:
    """The extractor of the default model."""
    return Extractor(PROBLEM.fields, PROBLEM.features, state())


def predictor(package: Path = FOLDER / "package") -> Predictor:
    """The default model, or another on the same extractor."""
    return Predictor(PROBLEM, extractor(), XGBoostRunner.load(package))


@cache
def rows() -> tuple[Row, ...]:
    """The 5,000 rows as validated rows."""
    requests = json.loads(gzip.decompress((FOLDER / "rows.json.gz").read_bytes()))
    return tuple(
        tuple(_value(request, item.name, item.kind, item.missing) for item in PROBLEM.fields) for request in requests
    )


@cache
def computed() -> dict[str, NDArray[Any]]:
    """What was computed of them: `features`, `prediction`, `group`, `groups`."""
    with np.load(FOLDER / "rows.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def _value(request: dict[str, Any], name: str, kind: Kind, missing: Any) -> Any:
    value = request.get(name)
    if value is None:
        return missing
    if kind is Kind.LOCAL_TIME:
        return int((datetime.fromisoformat(value) - datetime(1970, 1, 1)).total_seconds())
    return float(value) if kind is Kind.NUMBER else value
