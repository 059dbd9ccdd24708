"""The rows that two models are compared on: the candidate's test part, a Parquet file, or a window of the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import ValidationError

from tabular_bento.data.columns import columns_of_table
from tabular_bento.data.dataset import Dataset
from tabular_bento.data.splits import Split
from tabular_bento.data.storage import path_of
from tabular_bento.data.tables import TableSchema, check_table
from tabular_bento.errors import CompareError
from tabular_bento.monitoring.compare.models import Model
from tabular_bento.monitoring.compare.settings import CompareSettings
from tabular_bento.monitoring.window.data import Query
from tabular_bento.problem import Declaration
from tabular_bento.traffic.schema import default_directory

Array = NDArray[np.float64]

LABEL = "label"
"""A column of this name is the label of an example; else the target's own name is."""

_BATCH = 65_536
_FIRST, _LAST = datetime(1970, 1, 1), datetime(9999, 1, 1)


@dataclass(frozen=True)
class Batch:
    """n rows.

    Parameters
    ----------
    columns : mapping
        The fields by name, arrays of shape [n].
    labels : ndarray of shape [n]
        NaN for none.
    names : list of str
        What each row is called.
    baseline, candidate : ndarray of shape [n], optional
        Predictions that were logged; None where they are to be computed.
    """

    columns: Mapping[str, NDArray[Any]]
    labels: Array
    names: list[str]
    baseline: Array | None = None
    candidate: Array | None = None


@dataclass
class Found:
    """What a source reports beside its rows: where they are, what was left out and why, and what to know."""

    where: str
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def leave_out(self, why: str, rows: int) -> None:
        """Count rows that are not compared."""
        if rows:
            self.left_out[why] = self.left_out.get(why, 0) + rows


def numbers(column: pa.ChunkedArray) -> Array:
    """A column of numbers, missing is NaN."""
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def unseen_rows(
    baseline: Model, candidate: Model, dataset: Dataset, settings: CompareSettings, found: Found
) -> Iterator[Batch]:
    """The candidate's test part, less the rows that either model was trained on: to have seen them is no merit.

    Raises
    ------
    CompareError
        Where the candidate does not say what its test part is.
    """
    split = _split(candidate)
    if split is None:
        raise CompareError(
            f"{candidate.described.name} does not say what its test part is: name a Parquet file with --on."
        )
    chosen, months = _rows(dataset, candidate, split, "test"), _months(split, "test")
    for model in (baseline, candidate):
        own = _split(model)
        if own is None:
            continue
        seen = np.isin(chosen, _rows(dataset, model, own, "train"))
        common = [month for month in months if month in _months(own, "train")]
        if seen.any():
            what = f"{', '.join(common)} left out" if common else f"{int(seen.sum()):,} rows left out"
            them = "it" if common else "them"
            found.notes.append(f"{what}: {model.described.name} was trained on {them}.")
        chosen = chosen[~seen]
        months = [month for month in months if month not in common]
        if model.provenance.get("data_fingerprint") != dataset.fingerprint and not own.by_months:
            found.notes.append(
                f"The data has changed since {model.described.name} was trained: some of these rows may be among those "
                "that it was trained on."
            )
    source = candidate.provenance["config"].get("source") or dataset.description or "the project's data"
    what = (", ".join(months) or "no months") if split.by_months else "test part"
    found.where = f"{source}, {what}"
    if len(chosen) and split.by_months and candidate.provenance.get("data_fingerprint") != dataset.fingerprint:
        found.notes.append(f"The data of {source} has changed since {candidate.described.name} was trained.")
    places = _sampled(len(chosen), settings, found)
    for start in range(0, len(places), _BATCH):
        part = places[start : start + _BATCH]
        rows = dataset.where(chosen[part])
        labels = np.asarray(rows.target, dtype=np.float64)
        yield Batch(rows.columns, labels, [f"row {place}" for place in part])


def parquet(path: Path, declaration: Declaration, settings: CompareSettings, found: Found) -> Iterator[Batch]:
    """The examples of a Parquet file, or of all in a folder: the fields, and `label` or the target's name.

    Optional fields that are not there are missing in every row.

    Raises
    ------
    TableError
        For values that a server would refuse.
    CompareError
        Where there is no such file.
    """
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise CompareError(
            f"--on {path}: this is neither `test`, `traffic` nor `shadow`, and there is no Parquet file there."
        )
    found.where = str(path)
    try:
        tables = [pq.read_table(file) for file in files]
        table = pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowException, OSError) as error:
        raise CompareError(f"{path} cannot be read as Parquet ({error}).") from error
    target = declaration.target
    absent = [item.name for item in declaration.fields if item.optional and item.name not in table.column_names]
    if absent:
        found.notes.append(f"{path} has no {', '.join(absent)}: missing in every row.")
    if LABEL in table.column_names and target.name != LABEL:
        kept = table.drop_columns([target.name]) if target.name in table.column_names else table
        table = kept.rename_columns([target.name if name == LABEL else name for name in kept.column_names])
    for name in (*absent, target.name):
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows))
    table = check_table(table, TableSchema(path.name, (*declaration.fields, replace(target, optional=True))))
    places = _sampled(table.num_rows, settings, found)
    for start in range(0, len(places), _BATCH):
        places_of_part = places[start : start + _BATCH]
        part = table.take(pa.array(places_of_part))
        names = [f"row {place}" for place in places_of_part]
        yield Batch(columns_of_table(part, declaration.fields), numbers(part[target.name]), names)


def window_of(settings: CompareSettings, declaration: Declaration) -> Query:
    """The window of the traffic log that the settings name; all of it where they name no bounds."""
    directory = settings.traffic_dir or default_directory(declaration.name)
    return Query(path_of(directory), settings.start or _FIRST, settings.end or _LAST, settings.on)


def _sampled(count: int, settings: CompareSettings, found: Found) -> NDArray[np.int64]:
    """The places of all rows, or of as many as the settings say, evenly over them."""
    if not settings.sample or settings.sample >= count:
        return np.arange(count)
    found.notes.append(f"A sample of {settings.sample:,} rows, evenly over the source.")
    return np.linspace(0, count - 1, settings.sample).astype(np.int64)


def _split(model: Model) -> Split | None:
    """How the rows were split that the model was trained on, as its package says."""
    config = model.provenance.get("config") or {}
    if "split" not in config:
        return None
    try:
        return Split.model_validate(config["split"])
    except ValidationError as error:
        raise CompareError(
            f"{model.described.name}: what it was trained on cannot be read ({error.errors()[0]['msg']})."
        ) from error


def _rows(dataset: Dataset, model: Model, split: Split, part: str) -> NDArray[np.int64]:
    """The positions of a part's rows; of months also those without a label."""
    if not split.by_months:
        return split.positions(dataset)[part]
    if dataset.months is None:
        raise CompareError(f"{model.described.name} was split by months, and the problem has no event time.")
    first, last = (np.datetime64(month, "M").astype(np.int64) for month in getattr(split, part))
    return np.flatnonzero((dataset.months >= first) & (dataset.months <= last))


def _months(split: Split, part: str) -> list[str]:
    """The months of a part; none where it is a share of the rows."""
    if not split.by_months:
        return []
    first, last = getattr(split, part)
    return [str(month) for month in np.arange(np.datetime64(first, "M"), np.datetime64(last, "M") + 1)]
