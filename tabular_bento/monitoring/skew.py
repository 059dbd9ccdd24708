"""Training-serving skew: logged rows recomputed by the model's own package, and compared to the bit.

A feature is a float32 that the log holds as the shortest decimal of the same number in float64; both ways are exact, so
any bit that differs is a difference of what computed it: other code, other libraries, another extractor's state, or a
log that someone has touched. Rows stream by; memory does not grow with the window.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tabular_bento.data.columns import columns_of_table
from tabular_bento.errors import PackageError, SkewError
from tabular_bento.monitoring.files import write_whole
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

Array = NDArray[np.float64]

FORMAT = 1

Verdict = Literal["no_skew", "skew", "nothing_to_check"]

EXIT_CODES: dict[Verdict, int] = {"no_skew": 0, "skew": 1, "nothing_to_check": 2}
"""What the command ends with; 3 is a check that failed."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Example(_Part):
    """One value that was logged as another than it is."""

    prediction_id: str | None
    time: datetime | None
    column: Annotated[str, Field(description="A feature, or a column of the outputs")]
    logged: float | str | None
    recomputed: float | str | None
    ulps: Annotated[int | None, Field(description="Float32 between the two, of a feature; null where one is missing")]


class ColumnSkew(_Part):
    """A column of which some values disagree."""

    name: str
    role: Literal["feature", "prediction"]
    rows: Annotated[int, Field(description="Rows of which its value differs in any bit")]
    share: float
    largest: Annotated[float | None, Field(description="Largest difference; null where one of both is always missing")]
    missing_logged: Annotated[int, Field(description="Of those rows, logged as missing")]
    missing_recomputed: Annotated[int, Field(description="Of those rows, missing when recomputed")]


class SkewResult(_Part):
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

    def to_json(self) -> str:
        """Strict JSON, indented."""
        return self.model_dump_json(indent=1) + "\n"


class Compared:
    """The columns that are compared: the features, then every column of the outputs.

    Parameters
    ----------
    declaration : Declaration
        Of the model.
    """

    def __init__(self, declaration: Declaration) -> None:
        self.declaration = declaration
        self.features = declaration.feature_names
        outputs = [(name, output) for output in declaration.outputs for name in output.columns]
        self.outputs = declaration.outputs
        self.names = (*self.features, *(name for name, _ in outputs))
        first = len(self.features)
        self.kinds = (*[Kind.NUMBER] * first, *(output.kind for _, output in outputs))
        self.text = {
            place for place, (_, output) in enumerate(outputs, first) if not output.parts and output.kind is Kind.TEXT
        }
        self.logged = (*map(feature_column, self.features), *(output_column(name) for name, _ in outputs))

    def __len__(self) -> int:
        return len(self.names)

    def pair(self, table: pa.Table, found: Predictions) -> tuple[Array, Array, Mapping[int, list[str]]]:
        """What n rows of the log say and what was recomputed, both of shape [n, columns], missing as NaN.

        Texts are numbered; the texts by their number come third, by column.
        """
        logged, recomputed = [], [*found.features.astype(np.float64).T]
        for output in self.outputs:
            values = np.asarray(found.outputs[output.name])
            recomputed += [*values.T] if output.parts else [values]
        texts: dict[int, list[str]] = {}
        for place, column in enumerate(self.logged):
            if place in self.text:
                said, found_now = table[column].to_pylist(), [str(value) for value in recomputed[place]]
                texts[place] = sorted({value for value in (*said, *found_now) if value is not None})
                numbers = {value: number for number, value in enumerate(texts[place])}
                logged.append(np.array([numbers.get(value, np.nan) for value in said], dtype=np.float64))
                recomputed[place] = np.array([numbers[value] for value in found_now], dtype=np.float64)
            else:
                declared = SchemaField(column, self.kinds[place], optional=True)
                logged.append(columns_of_table(table, [declared])[column])
        shape = (table.num_rows, len(self))
        ours, theirs = (
            np.ascontiguousarray(np.column_stack(values).astype(np.float64).reshape(shape))
            for values in (logged, recomputed)
        )
        return ours, theirs, texts


@dataclass
class Tally:
    """What was met so far, by column where it says so.

    Predicted numbers may differ by `tolerance`, relative to max(1, |value|), that of the model's runner.
    """

    compared: Compared
    tolerance: float = 0.0
    checked: int = 0
    differing: int = 0
    not_finite: int = 0
    unusable: int = 0
    others: Counter[str] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)

    def __post_init__(self) -> None:
        size = len(self.compared)
        self.rows: NDArray[np.int64] = np.zeros(size, np.int64)
        self.missing_logged: NDArray[np.int64] = np.zeros(size, np.int64)
        self.missing_recomputed: NDArray[np.int64] = np.zeros(size, np.int64)
        self.largest: Array = np.zeros(size)

    def add(self, table: pa.Table, found: Predictions) -> None:
        """Count n rows of the log against what was recomputed of them."""
        logged, recomputed, texts = self.compared.pair(table, found)
        infinite = np.isinf(recomputed)
        self.not_finite += int(infinite.any(axis=1).sum())
        recomputed = np.where(infinite & np.isnan(logged), np.nan, recomputed)
        differs = (logged.view(np.uint64) != recomputed.view(np.uint64)) & ~(np.isnan(logged) & np.isnan(recomputed))
        if self.tolerance > 0:
            first = len(self.compared.features)
            with np.errstate(invalid="ignore"):
                near = np.abs(logged - recomputed) <= self.tolerance * np.maximum(1, np.abs(recomputed))
            near[:, [*range(first), *texts]] = False
            differs &= ~near
        self.checked += len(logged)
        self.differing += int(differs.any(axis=1).sum())
        if not differs.any():
            return
        self.rows += differs.sum(axis=0)
        self.missing_logged += (differs & np.isnan(logged)).sum(axis=0)
        self.missing_recomputed += (differs & np.isnan(recomputed)).sum(axis=0)
        with np.errstate(invalid="ignore"):
            distance = np.nan_to_num(np.where(differs, np.abs(logged - recomputed), 0.0), nan=0.0)
        distance[:, list(texts)] = 0.0
        self.largest = np.maximum(self.largest, distance.max(axis=0))
        for row, column in np.argwhere(differs)[: EXAMPLES - len(self.examples)]:
            values = logged[row, column], recomputed[row, column]
            self.examples.append(self._example(table, int(row), int(column), *values, texts.get(int(column))))

    def _example(
        self, table: pa.Table, row: int, column: int, logged: float, recomputed: float, texts: list[str] | None
    ) -> Example:
        ulps = None
        if column < len(self.compared.features) and np.isfinite(logged) and np.isfinite(recomputed):
            ulps = _ulps(np.float32(logged), np.float32(recomputed))
        return Example(
            prediction_id=table[PREDICTION_ID][row].as_py(),
            time=table[TIME.name][row].as_py(),
            column=self.compared.names[column],
            logged=_shown(logged, texts),
            recomputed=_shown(recomputed, texts),
            ulps=ulps,
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
    tally, lines = Tally(Compared(problem.declaration), tolerance), ScanCounts()
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
    declaration = tally.compared.declaration
    inputs = [input_column(name) for name in declaration.field_names]
    names = [PREDICTION_ID, TIME.name, MODEL, *inputs, *tally.compared.logged]
    for batch in query.log.scan(query.start, query.end, names, query.column, lines, BATCH_ROWS):
        named = batch.filter(pc.fill_null(pc.equal(batch.column(MODEL), pa.scalar(tag)), False))
        table = pa.Table.from_batches([whole(named, declaration)])
        tally.unusable += named.num_rows - table.num_rows
        if table.num_rows:
            rows = table.select(inputs).rename_columns(list(declaration.field_names))
            tally.add(table, predictor.predict_columns(columns_of_table(rows, declaration.fields)))


def _models_in(query: Query) -> Counter[str]:
    """How many of the window's rows name each model."""
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
        bad=lines.bad + lines.truncated,
        columns=[_column(int(place), tally) for place in order if tally.rows[place]],
        examples=tally.examples,
        reasons=_reasons(verdict, query, package, tally),
    )


def _column(place: int, tally: Tally) -> ColumnSkew:
    rows = int(tally.rows[place])
    return ColumnSkew(
        name=tally.compared.names[place],
        role="feature" if place < len(tally.compared.features) else "prediction",
        rows=rows,
        share=rows / tally.checked,
        largest=float(tally.largest[place]) or None,
        missing_logged=int(tally.missing_logged[place]),
        missing_recomputed=int(tally.missing_recomputed[place]),
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
    compared = tally.compared
    features = [compared.names[place] for place in np.flatnonzero(tally.rows) if place < len(compared.features)]
    rows = f"{tally.differing:,} of {tally.checked:,} rows differ from what {package.tag if package else ''} computes"
    if not features:
        agree = "their features agree and their predictions do not" if compared.features else "in their predictions"
        return [f"{rows}: {agree}. Another runner or other libraries predicted them, or the log was changed."]
    return [
        f"{rows}, in {', '.join(features)}. Whoever predicted them had another state of the extractor or other feature "
        "code than the package, or the log was changed."
    ]


def _shown(value: float, texts: list[str] | None) -> float | str | None:
    if not np.isfinite(value):
        return None
    return float(value) if texts is None else texts[int(value)]


def _ulps(first: np.float32, second: np.float32) -> int:
    ordered = [int(bits) if bits >= 0 else -(2**31) - int(bits) for bits in (v.view(np.int32) for v in (first, second))]
    return abs(ordered[0] - ordered[1])
