"""Golden packages and traffic logs in the format of the library: what monitoring is held to is recomputed from them."""

from __future__ import annotations

import base64
import fcntl
import gzip
import json
import math
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.problem import PROBLEM
from tabular_bento.data.columns import columns_of_table
from tabular_bento.evaluation.reference.profile import arrow_column
from tabular_bento.features import Columns
from tabular_bento.features.columns import rows_of
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.scoring.package import write_json, write_predictor
from tabular_bento.scoring.parity import write_parity
from tabular_bento.traffic.schema import (
    FEATURES,
    INPUTS,
    LABEL,
    LABELS,
    OUTPUTS,
    PREDICTIONS,
    feature_column,
    input_column,
    label_columns,
    output_column,
    prediction_columns,
)
from tabular_bento.traffic.sealing import seal
from tabular_bento.traffic.writer import LogWriter, encode_schema
from tests.golden import before

TAG = "flights:golden"
MONTHS = (7, 8, 9, 10, 11, 12)
_TARGET, _DECLARATION = PROBLEM.target.name, PROBLEM.declaration
_STREAMS = {"predictions": PREDICTIONS, "outcomes": LABELS}
_GONE, _WORDS = "<gone>", {"<NaN>": math.nan, "<Infinity>": math.inf}


def column_of(name: str) -> str:
    """The column of the log that was called `name` before."""
    if name == "outcome":
        return LABEL
    if name == _TARGET:
        return output_column(name)
    if name.startswith("feature_"):
        return feature_column(name.removeprefix("feature_"))
    return input_column(name)


def write_package(folder: Path, model: str = "package") -> Path:
    """The golden package, or one of its extractor with another model, as a package of the library."""
    folder.mkdir(parents=True)
    golden = before.FOLDER / "package"
    predictor = before.predictor(before.FOLDER / model)
    write_predictor(folder, predictor, PROBLEM)
    write_parity(folder, before.rows()[:40], predictor)
    for name in ("error_model.ubj", "provenance.json", "metrics.json"):
        shutil.copy(golden / name, folder / name)
    write_json(folder / "profile.json", _profile(json.loads((golden / "profile.json").read_text(encoding="utf-8"))))
    rows = pq.read_table(golden / "reference.parquet")
    pq.write_table(rows.rename_columns([column_of(name) for name in rows.column_names]), folder / "reference.parquet")
    write_manifest(folder)
    return folder


def _profile(profile: dict[str, Any]) -> dict[str, Any]:
    def renamed(columns: Mapping[str, Any]) -> dict[str, Any]:
        features = PROBLEM.feature_names
        return {
            feature_column(name) if name in features else column_of(name): column for name, column in columns.items()
        }

    error = dict(profile["error"])
    error["ratio_to_naive_baseline"] = error.pop("ratio_to_zero_gain")
    calibration = profile["calibration"]
    return profile | {
        "columns": renamed(profile["columns"]),
        "calibration": calibration | {"columns": renamed(calibration["columns"])},
        "vocabularies": {name: {"values": values, "empty": 0.0} for name, values in profile["vocabularies"].items()},
        "naive_baseline": None,
        "error": error,
    }


@cache
def inputs() -> dict[str, Any]:
    """How to write the logs that monitoring read."""
    document: dict[str, Any] = json.loads(gzip.decompress((before.FOLDER / "monitoring_inputs.json.gz").read_bytes()))
    return document


@cache
def results() -> dict[str, Any]:
    """What monitoring said."""
    document: dict[str, Any] = json.loads(gzip.decompress((before.FOLDER / "monitoring.json.gz").read_bytes()))
    return document


def positions(month: int) -> NDArray[np.int64]:
    """Which flights the log of a month holds."""
    return np.cumsum(inputs()["months"][str(month)]["positions"])


@cache
def examples() -> pa.Table:
    """All flights."""
    from training.source import load_flights

    return load_flights().examples


Alter = Callable[[Columns], Mapping[str, Any]]


def write_month(
    directory: Path,
    month: int,
    chosen: NDArray[np.int64],
    alter: Alter | None = None,
    tag: str = TAG,
    labels: bool = True,
) -> None:
    """Log flights as one process does that predicts each at push-back; labels follow by the rule of the README."""
    table = examples().take(pa.array(chosen))
    columns = _columns(table) | dict(alter(_columns(table)) if alter else {})
    found = before.predictor().predict(rows_of(columns, PROBLEM.field_names))
    departed = np.asarray(table["dep_utc"].cast(pa.int64()).to_numpy())
    ids = [f"{month:08x}-0000-7000-8000-{index:012x}" for index in range(len(chosen))]
    held = zip(*(arrow_column(columns[item.name], item).to_pylist() for item in PROBLEM.fields), strict=True)
    lines = [
        {
            "prediction_id": ids[index],
            "time": _instant(int(departed[index]), index % 1000),
            "model": tag,
            "declaration": _DECLARATION.fingerprint,
            "trace": None,
            INPUTS: list(values),
            FEATURES: [None if value != value else value for value in found.features[index].astype(float).tolist()],
            OUTPUTS: [float(found.value[index])],
        }
        for index, values in enumerate(held)
    ]
    with LogWriter(directory / PREDICTIONS, prediction_columns(_DECLARATION)) as writer:
        writer.append(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines))
    if not labels:
        return
    with LogWriter(directory / LABELS, label_columns(_DECLARATION)) as writer:
        writer.append(b"".join(_labels(table[_TARGET].to_pylist(), departed, ids)))


def _columns(table: pa.Table) -> dict[str, Any]:
    known = [item for item in PROBLEM.fields if item.name in table.column_names]
    return {**columns_of_table(table, known), "id": np.full(table.num_rows, None)}


def _labels(values: list[float | None], departed: NDArray[np.int64], ids: list[str]) -> list[bytes]:
    lines = []
    for index, value in enumerate(values):
        if value is None or index % 10 == 3:
            continue
        received = int(departed[index]) + 3600 + index * 7919 % 36000
        posted = [(received, value)]
        posted += [(received - 60, value + 1.0)] if index % 101 == 0 else []
        posted += [(received + 60, value)] if index % 97 == 0 else []
        lines += [
            orjson.dumps(
                {"prediction_id": ids[index], "time": _instant(moment), LABEL: label}, option=orjson.OPT_APPEND_NEWLINE
            )
            for moment, label in posted
        ]
    return lines


def _instant(seconds: int, micros: int = 0) -> str:
    moment = datetime(1970, 1, 1) + timedelta(seconds=seconds, microseconds=micros)
    return moment.isoformat(timespec="microseconds") + "Z"


# The adversarial log.


@cache
def adversarial() -> dict[str, Any]:
    """Its rows and files."""
    document: dict[str, Any] = json.loads(gzip.decompress((before.FOLDER / "adversarial" / "log.json.gz").read_bytes()))
    return document


@cache
def expected() -> dict[str, Any]:
    """What was made of it."""
    path = before.FOLDER / "adversarial" / "expected.json.gz"
    document: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return document


def write_adversarial(directory: Path, holding: ExitStack) -> None:
    """Write the log; its open files are held as long as `holding` is open."""
    for stream, columns in (
        ("predictions", prediction_columns(_DECLARATION)),
        ("outcomes", label_columns(_DECLARATION)),
    ):
        folder = directory / _STREAMS[stream]
        with LogWriter(folder, columns) as writer:  # publishes the schema
            writer.append(b"{}\n", 1)
        written = next(folder.glob("*.jsonl"))
        fingerprint = written.name.split(".")[-2]
        written.unlink()
        assert (folder / "schemas" / f"{fingerprint}.json").read_bytes() == encode_schema(columns)
        files = [file for file in adversarial()["files"] if file["stream"] == stream]
        for file in sorted(files, key=lambda one: one["state"] != "sealed"):
            path = folder / f"{file['name']}.{fingerprint}.jsonl"
            path.write_bytes(b"".join(map(_encode, file["lines"])))
            if file["state"] == "sealed":
                seal(folder)
            if file["state"] == "open":
                handle = holding.enter_context(path.open("ab"))
                fcntl.flock(handle, fcntl.LOCK_EX)


def _encode(line: dict[str, Any]) -> bytes:
    end = line.get("end", "\n").encode()
    if "raw" in line:
        return _renamed(line["raw"].encode()) + end
    if "raw_base64" in line:
        return _renamed(base64.b64decode(line["raw_base64"])) + end
    document = _prediction(line) if "row" in line else _label(line["outcome"])
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    return text[: int(len(text) * line["cut"])] + end if "cut" in line else text + end


def _prediction(line: dict[str, Any]) -> dict[str, Any]:
    base = adversarial()["base"][line["row"]]
    values = {**base, **line.get("set", {})}

    def held(name: str) -> Any:
        value = values[name]
        return None if value == _GONE else _WORDS.get(value, value) if isinstance(value, str) else value

    envelope = {name: values[name] for name in ("prediction_id", "time", "model", "declaration")}
    kept = {name: value for name, value in envelope.items() if value != _GONE}
    others = {name: value for name, value in values.items() if name not in base}
    return {
        **kept,
        "trace": None,
        INPUTS: [held(item.name) for item in PROBLEM.fields],
        FEATURES: [held(f"feature_{name}") for name in PROBLEM.feature_names],
        OUTPUTS: [held(_TARGET)],
        **others,
    }


def _label(values: dict[str, Any]) -> dict[str, Any]:
    renamed = {LABEL if name == _TARGET else name: value for name, value in values.items() if value != _GONE}
    return {name: _WORDS.get(value, value) if isinstance(value, str) else value for name, value in renamed.items()}


def _renamed(line: bytes) -> bytes:
    """A text with a scheduled departure, whose line cannot be read: the departure as an input."""
    for moment in (b"2013-09-05T12:00:00", b"2013-07-05T12:00:00"):
        place = [item.name for item in PROBLEM.fields].index("sched_dep")
        filler = b",".join([b"null"] * place + [b'"%b"' % moment])
        line = line.replace(b'"sched_dep":"%b"' % moment, b'"inputs":[%b]' % filler)
    return line
