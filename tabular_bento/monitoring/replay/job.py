"""A replay: the flights of past months sent to a running server as live traffic, then what came true of them."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, Field
from tqdm import tqdm

from features.definition import EVENT_TIME, FIELDS, KNOWN_PART, TARGET
from tabular_bento.data.columns import columns_of_table
from tabular_bento.errors import ReplayError
from tabular_bento.monitoring.replay.client import Client, connect, paced
from tabular_bento.monitoring.replay.config import DoorName, ReplayConfig
from tabular_bento.monitoring.replay.requests import requests_of
from training.source import load_flights

OUTCOMES_PER_REQUEST = 1_000


class ReplayResult(BaseModel):
    """What happened. Errors are of flights that have an outcome, in minutes; None where there are none."""

    door: DoorName
    flights: int = Field(description="Flights to be sent.")
    flights_served: int
    errors: int = Field(description="Flights that were not served.")
    errors_by_status: dict[str, int] = Field(
        description="Those and the outcomes that were not taken, by HTTP status or gRPC code."
    )
    first_error: str | None
    outcomes_posted: int
    outcomes_failed: int
    seconds: float = Field(description="Of the predictions, without the outcomes.")
    rows_per_second: float
    rmse: float | None
    mae: float | None
    zero_gain_rmse: float | None
    zero_gain_mae: float | None
    ratio_to_zero_gain: float | None = Field(description="RMSE over that of 'arrives as late as it left'.")
    first_event: str | None = Field(description="Scheduled departure of the first flight served.")
    last_event: str | None

    @property
    def complete(self) -> bool:
        """Whether every flight was served and every outcome taken."""
        return not self.errors and not self.outcomes_failed

    def table(self) -> str:
        """A few lines for people."""
        lines = [
            ("door", self.door),
            ("flights served", f"{self.flights_served:,} of {self.flights:,}"),
            ("errors", f"{self.errors:,}"),
            ("outcomes posted", f"{self.outcomes_posted:,}"),
            ("seconds", f"{self.seconds:.1f} ({self.rows_per_second:,.0f} rows/s)"),
            ("RMSE", _against(self.rmse, self.zero_gain_rmse)),
            ("MAE", _against(self.mae, self.zero_gain_mae)),
            ("events", f"{self.first_event} to {self.last_event}" if self.first_event else "none"),
        ]
        if self.first_error:
            by_status = ", ".join(f"{status} {count:,}" for status, count in self.errors_by_status.items())
            lines += [("not served", by_status), ("first error", self.first_error)]
        return "\n".join(f"{name:<16} {value}" for name, value in lines)


@dataclass
class _Progress:
    """Prediction ids and predicted values by flight, None and NaN where it was not served."""

    ids: list[str | None]
    predicted: list[float]
    seconds: float = 0.0
    posted: int = 0
    errors: int = 0
    outcomes_failed: int = 0
    by_status: dict[str, int] = field(default_factory=dict)
    first_error: str | None = None


def replay(config: ReplayConfig) -> ReplayResult:
    """Send the flights, then their outcomes, and give the counts and the errors of the predictions.

    Raises UnreachableError where no server answers, ReplayError for months without flights, SourceError or TableError
    where the flights cannot be read.
    """
    flights = _choose(load_flights(config.source).between(*config.days), config)
    if not flights.num_rows:
        raise ReplayError(f"There are no flights in {config.months}; the packaged ones are of 2013-01 to 2013-12.")
    flights = flights.take(pa.array(range(flights.num_rows)[config.turns], pa.int64()))
    if not flights.num_rows:
        raise ReplayError(f"There are no flights in part {config.part}: ask for more flights, or for fewer parts.")
    progress = asyncio.run(_send(named_requests_of(flights), flights[TARGET.name].to_pylist(), config))
    return _result(config.door, flights, progress)


def named_requests_of(flights: pa.Table) -> list[dict[str, Any]]:
    """The flights as rows of a request, each with an id that says which flight it is."""
    fields = [declared for declared in FIELDS if declared.name in flights.column_names]
    rows = requests_of(columns_of_table(flights, fields))
    for row in rows:
        row["id"] = f"{row['sched_dep'][:16]}-{row['carrier']}{row['flight']}-{row['origin']}"
    return rows


def _choose(flights: pa.Table, config: ReplayConfig) -> pa.Table:
    """The first flights, or one drawn from each of as many equal parts of the months."""
    if config.limit:
        return flights.slice(0, config.limit)
    if config.sample and config.sample < flights.num_rows:
        within = np.random.default_rng(config.seed).random(config.sample)
        places = (np.arange(config.sample) + within) * (flights.num_rows / config.sample)
        return flights.take(pa.array(places.astype(np.int64)))
    return flights


async def _send(rows: Sequence[dict[str, Any]], outcomes: Sequence[float | None], config: ReplayConfig) -> _Progress:
    progress = _Progress([None] * len(rows), [math.nan] * len(rows))
    async with connect(config.url, config.door, config.grpc_address, config.concurrency, config.timeout) as client:
        await client.check()
        starts = range(0, len(rows), config.rows_per_request)
        with _bar("flights", len(rows)) as bar:

            async def predict(turn: int) -> None:
                start = starts[turn]
                sent = rows[start : start + config.rows_per_request]
                for place, answer in enumerate(await client.predict(sent) or (), start):
                    progress.ids[place], progress.predicted[place] = answer["prediction_id"], answer[TARGET.name]
                bar.update(len(sent))

            began = time.perf_counter()
            sizes = [min(config.rows_per_request, len(rows) - start) for start in starts]
            await paced(sizes, predict, config.concurrency, config.rate)
            progress.seconds = time.perf_counter() - began
        progress.errors = client.failures.rows
        if config.feedback:
            await _post_outcomes(client, progress, outcomes, config.concurrency)
        progress.outcomes_failed = client.failures.rows - progress.errors
        progress.by_status, progress.first_error = dict(client.failures.by_status), client.failures.first
    return progress


async def _post_outcomes(
    client: Client, progress: _Progress, outcomes: Sequence[float | None], concurrency: int
) -> None:
    known = [
        {"prediction_id": prediction_id, TARGET.name: outcome}
        for prediction_id, outcome in zip(progress.ids, outcomes, strict=True)
        if prediction_id is not None and outcome is not None
    ]
    parts = [known[start : start + OUTCOMES_PER_REQUEST] for start in range(0, len(known), OUTCOMES_PER_REQUEST)]
    with _bar("outcomes", len(known)) as bar:

        async def post(turn: int) -> None:
            taken = await client.feedback(parts[turn])
            progress.posted += taken
            bar.update(len(parts[turn]))

        await paced([len(part) for part in parts], post, concurrency, None)


def _bar(what: str, total: int) -> tqdm[Any]:
    return tqdm(total=total, desc=what, unit="row", disable=not sys.stderr.isatty())


def _result(door: DoorName, flights: pa.Table, progress: _Progress) -> ReplayResult:
    predicted = np.array(progress.predicted)
    outcome, known = (np.asarray(flights[name].to_numpy(), dtype=np.float64) for name in (TARGET.name, KNOWN_PART))
    judged = ~np.isnan(predicted) & ~np.isnan(outcome)
    rmse, mae = _errors(predicted[judged] - outcome[judged])
    zero_rmse, zero_mae = _errors(known[judged] - outcome[judged])
    served = [place for place, prediction_id in enumerate(progress.ids) if prediction_id is not None]
    events = flights[EVENT_TIME]
    return ReplayResult(
        door=door,
        flights=flights.num_rows,
        flights_served=len(served),
        errors=progress.errors,
        errors_by_status=progress.by_status,
        first_error=progress.first_error,
        outcomes_posted=progress.posted,
        outcomes_failed=progress.outcomes_failed,
        seconds=round(progress.seconds, 3),
        rows_per_second=round(len(served) / max(progress.seconds, 1e-9), 1),
        rmse=rmse,
        mae=mae,
        zero_gain_rmse=zero_rmse,
        zero_gain_mae=zero_mae,
        ratio_to_zero_gain=rmse / zero_rmse if rmse is not None and zero_rmse else None,
        first_event=events[served[0]].as_py().isoformat() if served else None,
        last_event=events[served[-1]].as_py().isoformat() if served else None,
    )


def _errors(error: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float | None, float | None]:
    if not len(error):
        return None, None
    return float(np.sqrt((error**2).mean())), float(np.abs(error).mean())


def _against(ours: float | None, theirs: float | None) -> str:
    return f"{ours:.2f} against {theirs:.2f} of zero gain" if ours is not None and theirs is not None else "no outcomes"
