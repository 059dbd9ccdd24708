"""Training-serving skew: logged rows recomputed by the model's own package, and compared to the bit.

A feature is a float32 that the log holds as the shortest decimal of the same number in float64; both ways are exact, so
any bit that differs is a difference of what computed it: other code, other libraries, another extractor's state, or a
log that someone has touched. Rows stream by; memory does not grow with the window.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.definition import FIELDS, TARGET
from features.functions import FEATURE_NAMES
from tabular_bento.data.columns import columns_of_table
from tabular_bento.errors import PackageError, SkewError
from tabular_bento.evaluation.reference.package import stored_model
from tabular_bento.monitoring.files import write_whole
from tabular_bento.monitoring.skew.result import EXIT_CODES, ColumnSkew, Example, SkewResult, Verdict
from tabular_bento.monitoring.window.data import Query
from tabular_bento.monitoring.window.whole import whole
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.predictor import Predictor
from tabular_bento.traffic.log import FEATURE_PREFIX
from tabular_bento.traffic.reader import ScanCounts

RESULT_FILE = "skew.json"
EXAMPLES = 20
BATCH_ROWS = 16_384

_COLUMNS = (*FEATURE_NAMES, TARGET.name)
_LOGGED = (*(FEATURE_PREFIX + name for name in FEATURE_NAMES), TARGET.name)

Array = NDArray[np.float64]


@dataclass
class Tally:
    """What was met so far, by column where it says so."""

    checked: int = 0
    differing: int = 0
    not_finite: int = 0
    unusable: int = 0
    others: Counter[str] = field(default_factory=Counter)
    rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(_COLUMNS), np.int64))
    missing_logged: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(_COLUMNS), np.int64))
    missing_recomputed: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(_COLUMNS), np.int64))
    largest: Array = field(default_factory=lambda: np.zeros(len(_COLUMNS)))
    examples: list[Example] = field(default_factory=list)

    def add(self, table: pa.Table, logged: Array, recomputed: Array) -> None:
        """Count n rows of the log, with what was logged and recomputed, both of shape [n, columns]."""
        infinite = np.isinf(recomputed)
        self.not_finite += int(infinite.any(axis=1).sum())
        recomputed = np.where(infinite & np.isnan(logged), np.nan, recomputed)
        differs = (_bits(logged) != _bits(recomputed)) & ~(np.isnan(logged) & np.isnan(recomputed))
        self.checked += len(logged)
        self.differing += int(differs.any(axis=1).sum())
        if not differs.any():
            return
        self.rows += differs.sum(axis=0)
        self.missing_logged += (differs & np.isnan(logged)).sum(axis=0)
        self.missing_recomputed += (differs & np.isnan(recomputed)).sum(axis=0)
        with np.errstate(invalid="ignore"):
            distance = np.nan_to_num(np.where(differs, np.abs(logged - recomputed), 0.0), nan=0.0)
        self.largest = np.maximum(self.largest, distance.max(axis=0))
        for row, column in np.argwhere(differs)[: EXAMPLES - len(self.examples)]:
            self.examples.append(_example(table, int(row), int(column), logged[row, column], recomputed[row, column]))


def run(query: Query, out: Path, model: str | None = None) -> SkewResult:
    """Recompute the rows of the window and write `skew.json` into the folder `out`, whole or not at all.

    `model` is a tag of the BentoML store, by default the model that most rows of the window name; rows of others are
    counted. Raises PackageReferenceError where it is not in the store, SkewError where its package cannot be computed
    by this checkout, LogError where the log cannot be read, OSError where `out` cannot be written.
    """
    models = _models_in(query)
    tag = model or next((name for name, _ in models.most_common(1)), None)
    package = _package(tag) if tag is not None else None
    tag = package.tag if package else None
    tally, lines = Tally(), ScanCounts()
    if package is not None and models[package.tag]:
        check(query, package.tag, package.predictor, tally, lines)
    tally.others = Counter({name: count for name, count in models.items() if name != tag})
    result = _result(query, package, tally, lines)
    write_whole(out / RESULT_FILE, result.to_json())
    return result


def check(query: Query, tag: str, predictor: Predictor, tally: Tally, lines: ScanCounts) -> None:
    """Count all rows of the window that name `tag` against what `predictor` makes of them."""
    names = ["prediction_id", "time", "model", *(item.name for item in FIELDS), *_LOGGED]
    for batch in query.log.scan(query.start, query.end, names, query.on, lines, BATCH_ROWS):
        named = batch.filter(pc.fill_null(pc.equal(batch.column("model"), pa.scalar(tag)), False))
        table = pa.Table.from_batches([whole(named)])
        tally.unusable += named.num_rows - table.num_rows
        if table.num_rows:
            found = predictor.predict_columns(columns_of_table(table, FIELDS))
            recomputed = np.column_stack([found.features.astype(np.float64), found.target])
            tally.add(table, _logged(table), recomputed)


def _models_in(query: Query) -> Counter[str]:
    """How many of the window's rows name each model."""
    models: Counter[str] = Counter()
    for batch in query.log.scan(query.start, query.end, ["model"], query.on):
        for pair in batch.column(0).drop_null().value_counts().to_pylist():
            models[pair["values"]] += pair["counts"]
    return models


def _logged(table: pa.Table) -> Array:
    """What the log says of features and prediction, shape [n, columns]; missing is NaN."""
    columns = (table[name].cast(pa.float64()).to_numpy() for name in _LOGGED)
    return np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])


def _package(tag: str) -> ModelPackage:
    model = stored_model(tag)
    try:
        return ModelPackage.load(Path(model.path), str(model.tag))
    except PackageError as error:
        raise SkewError(
            f"{tag} cannot be computed here, so its log cannot be checked: {error} Run the check in a checkout of the "
            "commit that the model was trained at."
        ) from error


def _result(query: Query, package: ModelPackage | None, tally: Tally, lines: ScanCounts) -> SkewResult:
    verdict: Verdict = "skew" if tally.differing else "no_skew"
    if not tally.checked:
        verdict = "nothing_to_check"
    order = np.argsort(-tally.rows, kind="stable")
    return SkewResult(
        verdict=verdict,
        exit_code=EXIT_CODES[verdict],
        made_at=datetime.now(UTC),
        model=package.tag if package else None,
        fingerprint=package.fingerprint if package else None,
        start=query.start,
        end=query.end,
        on=query.on,
        log=str(query.directory),
        checked=tally.checked,
        differing=tally.differing,
        other_models=dict(tally.others.most_common()),
        not_finite=tally.not_finite,
        unusable=tally.unusable,
        bad=lines.bad + lines.torn,
        columns=[_column(int(place), tally) for place in order if tally.rows[place]],
        examples=tally.examples,
        reasons=_reasons(verdict, query, package, tally),
    )


def _column(place: int, tally: Tally) -> ColumnSkew:
    rows = int(tally.rows[place])
    return ColumnSkew(
        name=_COLUMNS[place],
        role="feature" if place < len(FEATURE_NAMES) else "prediction",
        rows=rows,
        share=rows / tally.checked,
        largest=float(tally.largest[place]) or None,
        missing_logged=int(tally.missing_logged[place]),
        missing_recomputed=int(tally.missing_recomputed[place]),
    )


def _reasons(verdict: Verdict, query: Query, package: ModelPackage | None, tally: Tally) -> list[str]:
    if verdict == "no_skew":
        return [f"All {tally.checked:,} rows come out to the bit."]
    if verdict == "nothing_to_check":
        others = ", ".join(f"{name} ({count:,} rows)" for name, count in tally.others.most_common(5))
        who = f"no usable row of {package.tag}" if package else "no row that names a model"
        rest = f"; it holds rows of {others}: name one with --model" if others else ""
        return [f"The window of the log under {query.directory} holds {who}{rest}."]
    features = [_COLUMNS[place] for place in np.flatnonzero(tally.rows) if place < len(FEATURE_NAMES)]
    rows = f"{tally.differing:,} of {tally.checked:,} rows differ from what {package.tag if package else ''} computes"
    if not features:
        return [
            f"{rows}: their features agree and their predictions do not. Another runner or other libraries predicted "
            "them, or the log was changed."
        ]
    return [
        f"{rows}, in {', '.join(features)}. Whoever predicted them had another state of the extractor or other feature "
        "code than the package, or the log was changed."
    ]


def _example(table: pa.Table, row: int, column: int, logged: float, recomputed: float) -> Example:
    time = table["time"][row].as_py()
    ulps = None
    if column < len(FEATURE_NAMES) and np.isfinite(logged) and np.isfinite(recomputed):
        ulps = _ulps(np.float32(logged), np.float32(recomputed))
    return Example(
        prediction_id=table["prediction_id"][row].as_py(),
        time=time,
        column=_COLUMNS[column],
        logged=float(logged) if np.isfinite(logged) else None,
        recomputed=float(recomputed) if np.isfinite(recomputed) else None,
        ulps=ulps,
    )


def _ulps(first: np.float32, second: np.float32) -> int:
    ordered = [int(bits) if bits >= 0 else -(2**31) - int(bits) for bits in (v.view(np.int32) for v in (first, second))]
    return abs(ordered[0] - ordered[1])


def _bits(values: Array) -> NDArray[Any]:
    return np.ascontiguousarray(values).view(np.uint64)
