"""The memory that a training needs, estimated before it reads a row, and what there is."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from tabular_bento.data import Dataset
from tabular_bento.data.sizes import Size
from tabular_bento.errors import ConfigError, MemoryLimitError
from tabular_bento.problem import Problem
from tabular_bento.schema import Kind
from tabular_bento.serving.limits import memory_limit

VARIABLE = "TABULAR_BENTO_MEMORY_LIMIT"
"""The environment variable that sets the memory a training may take, such as `4 GB`."""

_BASE = 300 << 20
_ROW, _NUMBER, _TEXT, _FEATURE, _SCORE = 160, 32, 130, 28, 220
"""Bytes of a row, its values, its features and its scores beyond the first at the peak of a training, measured from
100,000 to 300,000 rows: tables of Arrow, arrays, parts, matrices and predictions together."""

_STRING = 60
"""Bytes of a text in Python, beside the place that refers to it."""

_UNITS = "BKMGT"
"""Each a thousand times the one before."""


@dataclass(frozen=True)
class Memory:
    """Memory that may be taken.

    Parameters
    ----------
    size : int
        Bytes.
    source : str
        What limits it, for messages.
    """

    size: int
    source: str


def needed(problem: Problem, size: Size) -> int:
    """Bytes that training takes for a table, at its peak; an estimate.

    Parameters
    ----------
    problem : Problem
        Its fields and features.
    size : Size
        That of the table.
    """
    columns = (*problem.fields, problem.target)
    texts = sum(field.kind is Kind.TEXT for field in columns)
    row = _ROW + _NUMBER * (len(columns) - texts) + _TEXT * texts + _FEATURE * len(problem.feature_names)
    row += _SCORE * (problem.task.raw_columns - 1)
    return _BASE + size.rows * row + size.held


def available(root: Path = Path("/")) -> Memory:
    """The memory that this process may take: what is set, else what is free, within its control group's limit.

    Parameters
    ----------
    root : Path
        Where /proc and /sys are.

    Raises
    ------
    ConfigError
        Where the setting is no size.
    """
    text = os.environ.get(VARIABLE)
    if text:
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)B?\s*", text, re.IGNORECASE)
        if found is None:
            raise ConfigError(f"{VARIABLE}: {text!r} is no size, such as 4 GB or 500 MB")
        return Memory(int(float(found[1]) * 1000 ** _UNITS.index(found[2].upper() or "B")), VARIABLE)
    free = Memory(psutil.virtual_memory().available, "free on this machine")
    limit = memory_limit(root)
    if limit is None:
        return free
    left = Memory(limit - psutil.Process().memory_info().rss, "the container's limit")
    return min(free, left, key=lambda memory: memory.size)


def taken_by(dataset: Dataset) -> int:
    """Bytes of what a training needs that this process has taken already: the rows of a data set, and its libraries."""
    columns = [*dataset.columns.values(), *dataset.fit_columns.values(), dataset.target]
    rows = sum(values.nbytes + (_STRING * len(values) if values.dtype == object else 0) for values in columns)
    return rows + min(_BASE, int(psutil.Process().memory_info().rss))


def check_memory(problem: Problem, size: Size, memory: Memory | None = None) -> None:
    """Stop a training that there is no memory for, before its table is read.

    Parameters
    ----------
    problem : Problem
        What is trained.
    size : Size
        That of its table.
    memory : Memory, optional
        By default what is available.

    Raises
    ------
    MemoryLimitError
        With the memory that it needs, and what to do.
    """
    _compare(problem, size, memory or available(), "Nothing was read")


def check_dataset(problem: Problem, dataset: Dataset, memory: Memory | None = None) -> None:
    """Stop a training that there is no memory for, whose rows were read.

    Parameters
    ----------
    problem : Problem
        What is trained.
    dataset : Dataset
        Its rows.
    memory : Memory, optional
        What may be taken in all; by default what is available beside that which this process has taken for it.

    Raises
    ------
    MemoryLimitError
        With the memory that it needs, and what to do.
    """
    if memory is None:
        memory = available()
        if memory.source != VARIABLE:
            memory = replace(memory, size=memory.size + taken_by(dataset))
    _compare(problem, Size(len(dataset)), memory, "Nothing was trained")


def _compare(problem: Problem, size: Size, memory: Memory, consequence: str) -> None:
    wanted = needed(problem, size)
    if wanted > memory.size:
        raise MemoryLimitError(
            f"Training {problem.name} on {size.rows:,} rows of {len(problem.fields)} fields and "
            f"{len(problem.feature_names)} features needs about {_shown(wanted)} of memory, and {_shown(memory.size)} "
            f"may be taken ({memory.source}). {consequence}. Read fewer rows, such as by a WHERE of the query or a "
            f"part of the files, declare fewer fields, or take a larger machine; {VARIABLE} sets another limit."
        )


def _shown(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
