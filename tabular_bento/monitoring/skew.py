"""Training-serving skew: logged rows recomputed by the model's own package, and compared to the bit.

A feature is a float32 that the log holds as the shortest decimal of the same number in float64; both ways are exact, so
any bit that differs is a difference of what computed it: other code, other libraries, another extractor's state, or a
log that someone has touched. Rows stream by; memory does not grow with the window.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from tabular_bento.data.columns import columns_of_table
from tabular_bento.errors import PackageError, SkewError
from tabular_bento.monitoring.files import Part, write_whole
from tabular_bento.monitoring.window.data import Query, whole
from tabular_bento.pages import charts, render
from tabular_bento.pages.missing import undeclared
from tabular_bento.problem import Declaration, Problem
from tabular_bento.schema import Field as SchemaField
from tabular_bento.schema import Kind
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.predictor import Predictions, Predictor
from tabular_bento.scoring.store import find_model
from tabular_bento.traffic.reader import ScanCounts
from tabular_bento.traffic.schema import MODEL, PREDICTION_ID, TIME, feature_column, input_column, output_column

RESULT_FILE = "skew.json"
REPORT_FILE = "skew.html"
EXAMPLES, BATCH_ROWS = 20, 16_384

_DECISIONS = {
    "no_skew": ("No skew.", "{reasons}", "good"),
    "skew": ("Skew.", "{differing:,} of {checked:,} rows differ, in {columns:,} columns.", "alarm"),
    "nothing_to_check": ("Nothing to check.", "The window holds no usable row of the model.", "neutral"),
}

_DRAWN = 12  # columns; the table has all

FORMAT = 1

Verdict = Literal["no_skew", "skew", "nothing_to_check"]

EXIT_CODES: dict[Verdict, int] = {"no_skew": 0, "skew": 1, "nothing_to_check": 2}
"""What the command ends with; 3 is a check that failed."""


class Example(Part):
    """One value that was logged as another than it is."""

    prediction_id: str | None
    time: datetime | None
    column: Annotated[str, Field(description="A feature, or a column of the outputs")]
    logged: float | str | None
    recomputed: float | str | None
    ulps: Annotated[int | None, Field(description="Float32 between the two, of a feature; null where one is missing")]


class ColumnSkew(Part):
    """A column of which some values disagree."""

    name: str
    role: Literal["feature", "prediction"]
    rows: Annotated[int, Field(description="Rows of which its value differs in any bit")]
    share: float
    largest: Annotated[float | None, Field(description="Largest difference; null where one of both is always missing")]
    missing_logged: Annotated[int, Field(description="Of those rows, logged as missing")]
    missing_recomputed: Annotated[int, Field(description="Of those rows, missing when recomputed")]


class SkewResult(Part):
    """All of `skew.json`. Columns are in order of how many rows they differ in."""

    format: int = FORMAT
    verdict: Verdict
    exit_code: int
    made_at: datetime
    model: str | None
    fingerprint: str | None
    start: datetime
    end: datetime
    on: str
    log: str
    checked: Annotated[int, Field(description="Rows of the model in the window, recomputed")]
    differing: Annotated[int, Field(description="Rows of which any feature or output differs in any bit")]
    other_models: Annotated[dict[str, int], Field(description="Rows of the window by the other models that they name")]
    not_finite: Annotated[
        int, Field(description="Rows with an infinite feature, which the log writes as missing: not held against it")
    ]
    unusable: Annotated[int, Field(description="Rows without a value that every request has")]
    bad: Annotated[int, Field(description="Lines that could not be read, truncated ones among them")]
    columns: list[ColumnSkew]
    examples: Annotated[list[Example], Field(description="The first differing values, row by row")]
    reasons: list[str]

    @property
    def counts(self) -> list[tuple[int, str]]:
        """How many rows or lines of the log were not checked, or are not held against it, and why."""
        return [
            (self.unusable, "rows lack a value that every request has"),
            (self.bad, "lines of the log cannot be read"),
            (sum(self.other_models.values()), "rows are of other models"),
            (self.not_finite, "rows have an infinite feature, which the log writes as missing"),
        ]


@dataclass
class Compared:
    """A column that is compared, and what was met of it: the rows that differ, and by how much at most.

    Parameters
    ----------
    name, logged : str
        Its name, and that in the log.
    kind : Kind
        What it holds.
    role : str
        Whether it is a feature or a part of the prediction.
    """

    name: str
    logged: str
    kind: Kind
    role: Literal["feature", "prediction"]
    rows: int = 0
    missing_logged: int = 0
    missing_recomputed: int = 0
    largest: float = 0.0

    def of_log(self, table: pa.Table) -> NDArray[Any]:
        """What n rows of the log hold: float64, missing as NaN, or objects of text, missing as None; shape [n]."""
        if self.kind is Kind.TEXT:
            return np.array(table[self.logged].to_pylist(), dtype=object)
        declared = SchemaField(self.logged, self.kind, optional=True)
        return np.ascontiguousarray(columns_of_table(table, [declared])[self.logged], dtype=np.float64)

    def differing(self, logged: NDArray[Any], now: NDArray[Any], tolerance: float) -> NDArray[np.bool_]:
        """Which of n rows differ in any bit, or a predicted number by more than the tolerance; they are counted."""
        if self.kind is Kind.TEXT:
            unlike = np.asarray(logged != now, dtype=np.bool_)
            self.missing_logged += sum(value is None for value in logged[unlike].tolist())
        else:
            unlike = (logged.view(np.uint64) != now.view(np.uint64)) & ~(np.isnan(logged) & np.isnan(now))
            with np.errstate(invalid="ignore"):
                distance = np.abs(logged - now)
            if tolerance > 0 and self.role == "prediction":
                unlike &= ~(distance <= tolerance * np.maximum(1, np.abs(now)))
            self.missing_logged += int(np.isnan(logged[unlike]).sum())
            self.missing_recomputed += int(np.isnan(now[unlike]).sum())
            self.largest = max(self.largest, float(np.nan_to_num(distance[unlike], nan=0.0).max(initial=0.0)))
        self.rows += int(unlike.sum())
        return unlike


class Tally:
    """What was met so far: the features and every column of the outputs, and rows by what they came to.

    Parameters
    ----------
    declaration : Declaration
        Of the model.
    tolerance : float
        How far predicted numbers may differ, relative to max(1, |value|): that of the model's runner.
    """

    def __init__(self, declaration: Declaration, tolerance: float = 0.0) -> None:
        self.declaration, self.tolerance = declaration, tolerance
        self.columns = [
            *(Compared(name, feature_column(name), Kind.NUMBER, "feature") for name in declaration.feature_names),
            *(
                Compared(name, output_column(name), output.kind, "prediction")
                for output in declaration.outputs
                for name in output.columns
            ),
        ]
        self.checked = self.differing = self.not_finite = self.unusable = 0
        self.others: Counter[str] = Counter()
        self.examples: list[Example] = []

    def add(self, table: pa.Table, found: Predictions) -> None:
        """Count n rows of the log against what was recomputed of them."""
        recomputed = [*found.features.T]
        for output in self.declaration.outputs:
            values = np.asarray(found.outputs[output.name])
            recomputed += [*values.T] if output.parts else [values]
        infinite, pairs, differs = np.zeros(table.num_rows, np.bool_), [], []
        for column, now in zip(self.columns, recomputed, strict=True):
            logged = column.of_log(table)
            if column.kind is Kind.TEXT:
                now = np.array([str(value) for value in now], dtype=object)
            else:
                now = np.ascontiguousarray(now, dtype=np.float64)
                infinite |= np.isinf(now)
                now = np.where(np.isinf(now) & np.isnan(logged), np.nan, now)
            pairs.append((logged, now))
            differs.append(column.differing(logged, now, self.tolerance))
        places = np.argwhere(np.column_stack(differs))
        self.not_finite += int(infinite.sum())
        self.checked += table.num_rows
        self.differing += len(np.unique(places[:, 0]))
        for row, place in places[: EXAMPLES - len(self.examples)].tolist():
            logged, now = (values[row] for values in pairs[place])
            column = self.columns[place]
            known = column.kind is not Kind.TEXT and np.isfinite(logged) and np.isfinite(now)
            self.examples.append(
                Example(
                    prediction_id=table[PREDICTION_ID][row].as_py(),
                    time=table[TIME.name][row].as_py(),
                    column=column.name,
                    logged=_shown(logged),
                    recomputed=_shown(now),
                    ulps=_ulps(np.float32(logged), np.float32(now)) if known and column.role == "feature" else None,
                )
            )


def run(query: Query, out: Path, problem: Problem, model: str | None = None) -> SkewResult:
    """Recompute the rows of a window and write `skew.json` and `skew.html`, each whole or not at all.

    Parameters
    ----------
    query : Query
        The window.
    out : Path
        The folder of the two files.
    problem : Problem
        The project's problem.
    model : str, optional
        A tag of the model store; by default the model that most rows of the window name. Rows of others are counted.

    Returns
    -------
    SkewResult
        All of `skew.json`.

    Raises
    ------
    PackageError
        Where the model is not in the store.
    SkewError
        Where its package cannot be computed by this checkout.
    LogError
        Where the log cannot be read.
    OSError
        Where `out` cannot be written.
    """
    models = _models_in(query)
    tag = model or next((name for name, _ in models.most_common(1)), None)
    package = _package(tag, problem) if tag is not None else None
    tag = package.tag if package else None
    tolerance = package.predictor.tolerance if package else 0.0
    tally, lines = Tally(problem.declaration, tolerance), ScanCounts()
    if package is not None and models[package.tag]:
        check(query, package.tag, package.predictor, tally, lines)
    tally.others = Counter({name: count for name, count in models.items() if name != tag})
    result = _result(query, package, tally, lines)
    write_whole(out / RESULT_FILE, result.to_json())
    write_whole(out / REPORT_FILE, page(result, undeclared(problem, "skew")))
    return result


def page(result: SkewResult, missing: Sequence[str] = ()) -> str:
    """The page for people: which columns differ, in how many rows, and the first values; `missing` is what it lacks."""
    decision, message, tone = _DECISIONS[result.verdict]
    drawn = result.columns[:_DRAWN]
    return render(
        "skew.html",
        result=result,
        decision=decision,
        message=message.format(
            differing=result.differing,
            checked=result.checked,
            columns=len(result.columns),
            reasons=" ".join(result.reasons),
        ),
        tone=tone,
        columns=charts.bars([one.name for one in drawn], [one.rows for one in drawn], "rows") if drawn else None,
        height=70 + 26 * max(len(drawn), 3),
        counts=result.counts,
        missing=missing,
    )


def check(query: Query, tag: str, predictor: Predictor, tally: Tally, lines: ScanCounts) -> None:
    """Count all rows of the window that name `tag` against what `predictor` makes of them."""
    declaration = tally.declaration
    inputs = [input_column(name) for name in declaration.field_names]
    names = [PREDICTION_ID, TIME.name, MODEL, *inputs, *(column.logged for column in tally.columns)]
    for batch in query.log.scan(query.start, query.end, names, query.column, lines, BATCH_ROWS):
        named = batch.filter(pc.fill_null(pc.equal(batch.column(MODEL), pa.scalar(tag)), False))
        table = pa.Table.from_batches([whole(named, declaration)])
        tally.unusable += named.num_rows - table.num_rows
        if table.num_rows:
            rows = table.select(inputs).rename_columns(list(declaration.field_names))
            tally.add(table, predictor.predict_columns(columns_of_table(rows, declaration.fields)))


def _models_in(query: Query) -> Counter[str]:
    """How many of the window's rows name each model. Raises LogError where the log cannot be read."""
    models: Counter[str] = Counter()
    for batch in query.log.scan(query.start, query.end, [MODEL], query.column):
        for pair in batch.column(0).drop_null().value_counts().to_pylist():
            models[pair["values"]] += pair["counts"]
    return models


def _package(tag: str, problem: Problem) -> ModelPackage:
    model = find_model(tag)
    try:
        return ModelPackage.load(model.directory, model.tag, problem)
    except PackageError as error:
        raise SkewError(
            f"{tag} cannot be computed here, so its log cannot be checked: {error} Run the check in a checkout of the "
            "commit that the model was trained at."
        ) from error


def _result(query: Query, package: ModelPackage | None, tally: Tally, lines: ScanCounts) -> SkewResult:
    verdict: Verdict = "skew" if tally.differing else "no_skew"
    if not tally.checked:
        verdict = "nothing_to_check"
    columns = sorted((column for column in tally.columns if column.rows), key=lambda column: -column.rows)
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
        bad=lines.bad + lines.truncated,
        columns=[
            ColumnSkew(
                name=column.name,
                role=column.role,
                rows=column.rows,
                share=column.rows / tally.checked,
                largest=column.largest or None,
                missing_logged=column.missing_logged,
                missing_recomputed=column.missing_recomputed,
            )
            for column in columns
        ],
        examples=tally.examples,
        reasons=_reasons(verdict, query, package, tally),
    )


def _reasons(verdict: Verdict, query: Query, package: ModelPackage | None, tally: Tally) -> list[str]:
    if verdict == "no_skew":
        within = f", predictions within the runner's tolerance of {tally.tolerance:g}" if tally.tolerance else ""
        return [f"All {tally.checked:,} rows come out to the bit{within}."]
    if verdict == "nothing_to_check":
        others = ", ".join(f"{name} ({count:,} rows)" for name, count in tally.others.most_common(5))
        who = f"no usable row of {package.tag}" if package else "no row that names a model"
        rest = f"; it holds rows of {others}: name one with --model" if others else ""
        return [f"The window of the log under {query.directory} holds {who}{rest}."]
    features = [column.name for column in tally.columns if column.role == "feature" and column.rows]
    rows = f"{tally.differing:,} of {tally.checked:,} rows differ from what {package.tag if package else ''} computes"
    if not features:
        agree = (
            "their features agree and their predictions do not"
            if tally.declaration.features
            else "in their predictions"
        )
        return [f"{rows}: {agree}. Another runner or other libraries predicted them, or the log was changed."]
    return [
        f"{rows}, in {', '.join(features)}. Whoever predicted them had another state of the extractor or other feature "
        "code than the package, or the log was changed."
    ]


def _shown(value: Any) -> float | str | None:
    if value is None or isinstance(value, str):
        return value
    return float(value) if np.isfinite(value) else None


def _ulps(first: np.float32, second: np.float32) -> int:
    ordered = [int(bits) if bits >= 0 else -(2**31) - int(bits) for bits in (v.view(np.int32) for v in (first, second))]
    return abs(ordered[0] - ordered[1])
