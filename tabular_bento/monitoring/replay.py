"""A replay: past rows sent to a running server as live traffic, then their labels.

Nothing is lost silently: every row ends as a prediction or as a counted error.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, TypeAdapter, field_validator
from tqdm import tqdm

from tabular_bento.client import AsyncClient, Interface, Protocol, grpc_address
from tabular_bento.client.asynchronous import paced
from tabular_bento.client.encoding import with_identifiers
from tabular_bento.data.dataset import Dataset
from tabular_bento.data.splits import month_range
from tabular_bento.errors import ClientError, RefusedError, ReplayError, ResponseError
from tabular_bento.evaluation.evaluators import evaluator_of, metric_title
from tabular_bento.problem import Declaration, Problem
from tabular_bento.protocol.predictions import held_output
from tabular_bento.protocol.values import json_values

LABELS_PER_REQUEST = 1_000

_METRICS = ("rmse", "mae", "log_loss", "brier")


class ReplayConfig(BaseModel):
    """What to replay, where to, and how fast. ValueError for what makes no sense."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    months: str | None = Field(
        None,
        description="First and last month of the event time, as 2013-07:2013-09, or one month; by default the test "
        "part.",
    )
    limit: int | None = Field(None, ge=1, description="The first rows only.")
    sample: int | None = Field(None, ge=1, description="Rows drawn evenly over all, in their order.")
    seed: int = Field(20130101, ge=0, description="Of the sample.")
    part: str = Field(
        "1/1", pattern=r"^[1-9]\d*/[1-9]\d*$", description="K/N: of those rows every N-th, from the K-th on."
    )
    rate: float | None = Field(None, gt=0, description="Rows a second at most; without it, as fast as responses come.")
    concurrency: int = Field(8, ge=1, description="Requests at a time.")
    rows_per_request: int = Field(50, ge=1, description="Rows in one request.")
    protocol: Protocol = Field("json", description="POST /predict, or the Open Inference Protocol over REST or gRPC.")
    url: str = Field("http://127.0.0.1:3000", description="Of the server.")
    grpc: str | None = Field(
        None,
        pattern=r"^\S+:\d+$",
        description="HOST:PORT of its gRPC; without it, url's host and TABULAR_BENTO_GRPC_PORT.",
    )
    feedback: bool = Field(True, description="Whether to send the labels.")
    timeout: float = Field(60.0, gt=0, description="Seconds for one response.")

    @field_validator("months")
    @classmethod
    def _check_months(cls, months: str | None) -> str | None:
        if months is not None:
            _days(months)
        return months

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        TypeAdapter(HttpUrl).validate_python(url)
        return url

    @field_validator("part")
    @classmethod
    def _check_part(cls, part: str) -> str:
        first, _, of = part.partition("/")
        if int(first) > int(of):
            raise ValueError(f"there is no part {first} of {of}")
        return part

    @property
    def turns(self) -> slice:
        """Which of the chosen rows are sent."""
        first, _, of = self.part.partition("/")
        return slice(int(first) - 1, None, int(of))

    @property
    def grpc_address(self) -> str:
        """HOST:PORT of the server's gRPC."""
        return self.grpc or grpc_address(self.url)

    @property
    def days(self) -> tuple[date, date] | None:
        """The first day, and the first after the last; None where no months are named."""
        return None if self.months is None else _days(self.months)


def _days(months: str) -> tuple[date, date]:
    first, _, last = months.partition(":")
    return month_range(first, last or first)


class ReplayResult(BaseModel):
    """What happened. Metrics are of rows that have a label; None where there are none, or the task has others."""

    protocol: Protocol
    rows: int = Field(description="Rows to be sent.")
    rows_served: int
    errors: int = Field(description="Rows that were not served.")
    errors_by_status: dict[str, int] = Field(
        description="Those and the labels that were not accepted, by HTTP status or gRPC code."
    )
    first_error: str | None
    labels_sent: int
    labels_failed: int
    seconds: float = Field(description="Of the predictions, without the labels.")
    rows_per_second: float
    metric: str = Field(description="The first metric of the task: `rmse`, or of classes `log_loss`.")
    rmse: float | None = None
    mae: float | None = None
    log_loss: float | None = None
    brier: float | None = None
    naive_rmse: float | None = Field(None, description="Of the offset by itself; null for a problem without offset.")
    naive_mae: float | None = None
    naive_log_loss: float | None = Field(None, description="Of the classes' shares in the training part.")
    naive_brier: float | None = None
    ratio_to_naive_baseline: float | None = Field(None, description="`metric` over that of the naive baseline.")
    first_event: str | None = Field(description="Event time of the first row served.")
    last_event: str | None

    @property
    def complete(self) -> bool:
        """Whether every row was served and every label accepted."""
        return not self.errors and not self.labels_failed

    def table(self) -> str:
        """A few lines for people."""
        lines = [
            ("protocol", self.protocol),
            ("rows served", f"{self.rows_served:,} of {self.rows:,}"),
            ("errors", f"{self.errors:,}"),
            ("labels sent", f"{self.labels_sent:,}"),
            ("seconds", f"{self.seconds:.1f} ({self.rows_per_second:,.0f} rows/s)"),
            *((metric_title(name), self._against(name)) for name in _METRICS if getattr(self, name) is not None),
        ]
        if getattr(self, self.metric) is None:
            lines.append((metric_title(self.metric), "no labels"))
        if self.first_event:
            lines.append(("events", f"{self.first_event} to {self.last_event}"))
        if self.first_error:
            by_status = ", ".join(f"{status} {count:,}" for status, count in self.errors_by_status.items())
            lines += [("not served", by_status), ("first error", self.first_error)]
        return "\n".join(f"{name:<16} {value}" for name, value in lines)

    def _against(self, name: str) -> str:
        ours, naive = getattr(self, name), getattr(self, f"naive_{name}")
        return f"{ours:.4g}" if naive is None else f"{ours:.4g} against {naive:.4g} of the naive baseline"


@dataclass
class _Progress:
    """Prediction ids and outputs by row, None where it was not served; and what failed, by status."""

    ids: list[str | None]
    outputs: dict[str, list[Any]]
    seconds: float = 0.0
    sent: int = 0
    errors: int = 0
    labels_failed: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    first_error: str | None = None

    def fail(self, error: ClientError, rows: int) -> None:
        """Count rows or labels that an error was the end of."""
        status = _status(error)
        self.by_status[status] += rows
        self.first_error = self.first_error or f"{status}: {error}"


def replay(problem: Problem | Declaration, dataset: Dataset, config: ReplayConfig) -> ReplayResult:
    """Send rows in the order of their event time, then their labels, and give the counts and the errors.

    Without an event time rows go in the order of the data set. A request whose connection breaks is sent again: the
    server may then log its rows twice, and the labels go with the predictions that arrived.

    Parameters
    ----------
    problem : Problem or Declaration
        What is predicted.
    dataset : Dataset
        The rows. Without months in the configuration its test part is sent, or all of it where it was not split.
    config : ReplayConfig
        What to send, and how.

    Raises
    ------
    UnreachableError
        Where no server listens.
    ReplayError
        Where no row is chosen, or months are named and the problem has no event time.
    """
    declaration = problem.declaration if isinstance(problem, Problem) else problem
    rows = _chosen(declaration, dataset, config)
    progress = asyncio.run(_send(declaration, rows, config))
    return _result(declaration, rows, progress, config.protocol, _shares(declaration, dataset))


def _chosen(declaration: Declaration, dataset: Dataset, config: ReplayConfig) -> Dataset:
    """The rows to be sent, each with an id of its own where the problem has one."""
    days = config.days
    if days is None:
        rows = dataset.part("test") if "test" in dataset.parts else dataset.where(slice(None))
        if not len(rows):
            raise ReplayError("There are no rows to send: the data set is empty.")
    elif declaration.event_time is None:
        raise ReplayError(f"The problem has no event time, so rows have no months: leave --months {config.months} out.")
    else:
        rows = dataset.between(*days)
        if not len(rows):
            raise ReplayError(f"There are no rows in {config.months}.")
    if declaration.event_time is not None:
        rows = rows.where(np.argsort(np.asarray(rows.columns[declaration.event_time]), kind="stable"))
    rows = _named(declaration, _drawn(rows, config))
    rows = rows.where(config.turns)
    if not len(rows):
        raise ReplayError(f"There are no rows in part {config.part}: ask for more rows, or for fewer parts.")
    return rows


def _drawn(rows: Dataset, config: ReplayConfig) -> Dataset:
    """The first rows, or one drawn from each of as many equal parts."""
    if config.limit:
        return rows.where(slice(config.limit))
    if config.sample and config.sample < len(rows):
        within = np.random.default_rng(config.seed).random(config.sample)
        places = (np.arange(config.sample) + within) * (len(rows) / config.sample)
        return rows.where(places.astype(np.int64))
    return rows


def _named(declaration: Declaration, rows: Dataset) -> Dataset:
    """The rows with an id of the caller's own each, by which its prediction is known."""
    columns = dict(rows.columns)
    name = declaration.identifier
    if name is not None:
        named = with_identifiers(columns, Interface.of(declaration), "replay")[name]
        columns[name] = np.array(named, dtype=declaration.field(name).dtype)
    return Dataset(rows.problem, columns, rows.target)


async def _send(declaration: Declaration, rows: Dataset, config: ReplayConfig) -> _Progress:
    names = [output.name for output in declaration.outputs]
    progress = _Progress([None] * len(rows), {name: [None] * len(rows) for name in names})
    client = AsyncClient(
        config.url, config.grpc_address, timeout=config.timeout, resend=True, connections=config.concurrency
    )
    async with client:
        await client.check()
        await client.check(config.protocol)
        starts = range(0, len(rows), config.rows_per_request)
        with _bar("rows", len(rows)) as bar:

            async def predict(turn: int) -> None:
                part = slice(starts[turn], starts[turn] + config.rows_per_request)
                sent = {name: values[part] for name, values in rows.columns.items()}
                size = sizes[turn]
                try:
                    predictions = await client.predict(sent, config.protocol)
                    progress.ids[part] = predictions.column("prediction_id")
                    for name in names:
                        progress.outputs[name][part] = predictions.column(name)
                except ClientError as error:
                    progress.fail(error, size)
                    progress.errors += size
                bar.update(size)

            began = time.perf_counter()
            sizes = [min(config.rows_per_request, len(rows) - start) for start in starts]
            await paced(sizes, predict, config.concurrency, config.rate)
            progress.seconds = time.perf_counter() - began
        if config.feedback:
            await _send_labels(client, progress, _labels(declaration, rows), config.concurrency)
    return progress


async def _send_labels(client: AsyncClient, progress: _Progress, labels: list[Any], concurrency: int) -> None:
    known = [
        (prediction_id, label)
        for prediction_id, label in zip(progress.ids, labels, strict=True)
        if prediction_id is not None and label is not None
    ]
    parts = [known[start : start + LABELS_PER_REQUEST] for start in range(0, len(known), LABELS_PER_REQUEST)]
    with _bar("labels", len(known)) as bar:

        async def send(turn: int) -> None:
            part = parts[turn]
            try:
                accepted = await client.send_labels(part)
                progress.sent += accepted
            except ClientError as error:
                progress.fail(error, len(part))
                progress.labels_failed += len(part)
            bar.update(len(part))

        await paced([len(part) for part in parts], send, concurrency)


def _labels(declaration: Declaration, rows: Dataset) -> list[Any]:
    """The labels as JSON values; None where there is none."""
    return list(json_values(declaration.target.kind, rows.target))


def _bar(what: str, total: int) -> tqdm[Any]:
    return tqdm(total=total, desc=what, unit="row", disable=not sys.stderr.isatty())


def _result(
    declaration: Declaration, rows: Dataset, progress: _Progress, protocol: Protocol, shares: Any
) -> ReplayResult:
    served = [place for place, prediction_id in enumerate(progress.ids) if prediction_id is not None]
    first, last = _events(declaration, rows.columns, served)
    return ReplayResult(
        protocol=protocol,
        rows=len(rows),
        rows_served=len(served),
        errors=progress.errors,
        errors_by_status=dict(progress.by_status),
        first_error=progress.first_error,
        labels_sent=progress.sent,
        labels_failed=progress.labels_failed,
        seconds=round(progress.seconds, 3),
        rows_per_second=round(len(served) / max(progress.seconds, 1e-9), 1),
        **_measured(declaration, rows.where(np.array(served, dtype=np.int64)), progress, served, shares),
        first_event=first,
        last_event=last,
    )


def _measured(
    declaration: Declaration, rows: Dataset, progress: _Progress, served: list[int], shares: Any
) -> dict[str, Any]:
    """The metrics of the rows that were served, and those of the naive baseline where it is known."""
    evaluator = evaluator_of(declaration.task)
    found: dict[str, Any] = {"metric": evaluator.losses[0]}
    codes = evaluator.codes(rows.target)
    known = ~np.isnan(codes)
    if not known.any():
        return found
    outputs = {
        output.name: held_output(output, [progress.outputs[output.name][place] for place in served])
        for output in declaration.outputs
    }
    naive = shares if rows.offset is None else 0.0
    of = {"": outputs} | ({} if naive is None else {"naive_": evaluator.naive_outputs(naive, len(rows), rows.offset)})
    for whose, predicted in of.items():
        levels = evaluator.level(evaluator.row_losses(predicted, codes)[known].mean(axis=0))
        found |= {f"{whose}{name}": float(level) for name, level in zip(evaluator.losses, levels, strict=True)}
    ours, theirs = found[found["metric"]], found.get(f"naive_{found['metric']}")
    return found | {"ratio_to_naive_baseline": ours / theirs if theirs else None}


def _shares(declaration: Declaration, dataset: Dataset) -> Any:
    """The classes' shares in the training part; None of a regression, or of rows that were not split."""
    if not declaration.task.class_names or "train" not in dataset.parts:
        return None
    evaluator = evaluator_of(declaration.task)
    return evaluator.naive(evaluator.codes(dataset.part("train").target))


def _events(
    declaration: Declaration, columns: Mapping[str, NDArray[Any]], served: list[int]
) -> tuple[str | None, str | None]:
    """The event times of the first and the last row served."""
    if declaration.event_time is None or not served:
        return None, None
    values = columns[declaration.event_time][[served[0], served[-1]]]
    first, last = json_values(declaration.field(declaration.event_time).kind, values)
    return first, last


def _status(error: ClientError) -> str:
    """The word that an error is counted by."""
    match error:
        case RefusedError():
            return error.status
        case ResponseError():
            return "wrong response"
        case _:
            return "connection"
