"""The checks of a fitted runner: its scores, its files and its contributions."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.scoring.runners import Runner
from tabular_bento.tasks import Task
from tabular_bento.testing.made_up import Inputs, length, taken

_ALONE = 30
_EXPLAINED_WITHIN = 1e-4

_DAMAGED: dict[str, Callable[[bytes], bytes | None]] = {
    "is missing": lambda _: None,
    "is empty": lambda _: b"",
    "is cut in half": lambda content: content[: len(content) // 2],
    "has zeros in place of its first bytes": lambda content: bytes(min(64, len(content))) + content[64:],
    "is another JSON document": lambda _: b'{"nothing": [1]}',
}

_UNPICKLED: list[str] = []
_WATCHING: list[bool] = []


@dataclass(frozen=True)
class FittedRunner:
    """A fitted runner, and rows to predict.

    Parameters
    ----------
    runner : Runner
        The runner.
    inputs : ndarray or mapping
        A matrix of shape [n, features], or columns of shape [n] by field, as the runner takes them.
    task : Task
        What it was fitted for.
    """

    runner: Runner
    inputs: Inputs
    task: Task

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """Raw scores of all rows, predicted together, or one by one where the runner is not exact."""
        return self.predict(self.inputs) if self.runner.exact else self.alone(length(self.inputs))

    def predict(self, inputs: Inputs) -> NDArray[np.float64]:
        """Raw scores of rows that may not be written to."""
        arrays = list(inputs.values()) if isinstance(inputs, Mapping) else [inputs]
        for array in arrays:
            array.flags.writeable = False
        runner: Any = self.runner
        scores: NDArray[np.float64] = runner.predict(inputs)
        return scores

    def alone(self, count: int) -> NDArray[np.float64]:
        """Raw scores of the first rows, each predicted by itself."""
        return np.concatenate([self.predict(taken(self.inputs, slice(place, place + 1))) for place in range(count)])


def check_scores(subject: FittedRunner) -> None:
    """Raw scores are finite float64 of shape [n, raw_columns], also of one row and of none, and kept by the caller."""
    inputs, columns = subject.inputs, subject.task.raw_columns
    for count in (length(inputs), 1, 0):
        scores = subject.predict(taken(inputs, slice(count)))
        assert isinstance(scores, np.ndarray), f"`predict` returns a {type(scores).__name__}, not an array"
        assert scores.shape == (count, columns), f"scores of {count} rows have the shape {scores.shape}"
        assert scores.dtype == np.float64, f"scores are {scores.dtype}, not float64"
        assert np.isfinite(scores).all(), "a score is not a finite number"
    first = subject.predict(taken(inputs, slice(5)))
    kept = first.copy()
    subject.predict(taken(inputs, slice(5, 10)))
    assert first.tobytes() == kept.tobytes(), "the scores of a call change with the next call"


def check_batches(subject: FittedRunner) -> None:
    """A row's scores are the same alone, in a batch, in another order, in another batch and another memory layout.

    They are compared by bits where the runner is exact; if not, within its tolerance, where it has one.
    """
    runner, inputs, scores = subject.runner, subject.inputs, subject.scores
    count = length(inputs)
    some = min(_ALONE, count)
    _same_scores(subject, "alone a second time", subject.alone(some), subject.alone(some), exact=True)
    if not (runner.exact or runner.tolerance):
        return
    _same_scores(subject, "alone", subject.alone(some), scores[:some])
    order = np.random.default_rng(0).permutation(count)
    _same_scores(subject, "in another order", subject.predict(taken(inputs, order)), scores[order])
    for size in (2, 7, 64):
        parts = [subject.predict(taken(inputs, slice(start, start + size))) for start in range(0, count, size)]
        _same_scores(subject, f"in batches of {size} rows", np.concatenate(parts), scores)
    if isinstance(inputs, np.ndarray):
        for layout in (np.asfortranarray(inputs), np.repeat(inputs, 2, axis=0)[::2]):
            _same_scores(subject, "in another memory layout", subject.predict(layout), scores)


def check_extremes(subject: FittedRunner) -> None:
    """Rows with missing values and with the largest numbers have finite scores; of a runner that takes the matrix."""
    if not isinstance(subject.inputs, np.ndarray):
        return
    row = subject.inputs[0]
    limit = np.finfo(np.float32).max
    for value in (np.nan, limit, -limit, 0.0, 1e9):
        rows = np.repeat(row[None], len(row) + 1, axis=0)
        rows[np.arange(len(row)), np.arange(len(row))] = value
        rows[-1] = value
        scores = subject.predict(rows)
        wrong = np.flatnonzero(~np.isfinite(scores).all(axis=1))
        place = "every feature" if len(wrong) and wrong[0] == len(row) else f"feature {wrong[0] if len(wrong) else 0}"
        assert not len(wrong), f"a row in which {place} is {value} has the scores {scores[wrong[0]]}"


def check_saving(subject: FittedRunner) -> None:
    """A saved runner, read again, gives the same bits and saves the same bytes, whatever the folder is called."""
    with saved(subject.runner) as folder, tempfile.TemporaryDirectory(prefix="tabular-bento-") as other:
        files = contents(folder)
        assert files, "`save` writes no file into the folder"
        copy = Path(other) / "copy"
        shutil.copytree(folder, copy)
        loaded = FittedRunner(type(subject.runner).load(copy), subject.inputs, subject.task)
        _same_scores(subject, "once it is saved and loaded", loaded.scores, subject.scores, exact=True)
        with saved(loaded.runner) as again:
            same_files("a model that was loaded", contents(again), files)


def check_pickles(subject: FittedRunner) -> None:
    """No file holds a pickle, and nothing is unpickled while a model is loaded."""
    with saved(subject.runner) as folder:
        for name, content in contents(folder).items():
            for inner, data in _members(content):
                where = f"{name}, {inner}" if inner else name
                assert not _is_pickle(data), f"{where} is a pickle; keep arrays as .npy or .npz, settings as JSON"
        with _watched_pickles() as found:
            type(subject.runner).load(folder)
    assert not found, f"`load` unpickles {found[0]}" if found else ""


def check_damaged_files(subject: FittedRunner) -> None:
    """A file that is missing, empty, truncated, overwritten or another one is refused with an ordinary exception."""
    with saved(subject.runner) as folder:
        files = contents(folder)
        for name, content in files.items():
            damaged: dict[str, bytes | None] = {what: damage(content) for what, damage in _DAMAGED.items()}
            damaged |= {f"is {other}": data for other, data in files.items() if data != content}
            for what, data in damaged.items():
                _refused_file(type(subject.runner), folder, name, what, data)
                (folder / name).write_bytes(content)


def check_explanation(subject: FittedRunner) -> None:
    """Contributions of a runner that explains add up to its scores and do not depend on the batch."""
    if not explains(type(subject.runner)):
        return
    runner: Any = subject.runner
    inputs = taken(subject.inputs, slice(_ALONE))
    found, scores = runner.explain(inputs), subject.scores[:_ALONE]
    shape = (*scores.shape, (inputs.shape[1] if isinstance(inputs, np.ndarray) else len(inputs)) + 1)
    assert found.shape == shape, f"contributions have the shape {found.shape}, not {shape}"
    assert found.dtype == np.float64, f"contributions are {found.dtype}, not float64"
    difference = np.abs(found.sum(axis=2) - scores) / np.maximum(1, np.abs(scores))
    assert difference.max() <= _EXPLAINED_WITHIN, f"contributions differ from the score by {difference.max():.2g}"
    assert np.ptp(found[..., -1], axis=0).max() == 0, "the base value, which is last, differs between rows"
    alone = [runner.explain(taken(inputs, slice(place, place + 1))) for place in range(length(inputs))]
    assert np.concatenate(alone).tobytes() == found.tobytes(), "contributions differ alone and in a batch"
    assert runner.explain(taken(inputs, slice(0))).shape == (0, *shape[1:]), "no rows have contributions"


FITTED_CHECKS: tuple[Callable[[FittedRunner], None], ...] = (
    check_scores,
    check_batches,
    check_extremes,
    check_saving,
    check_pickles,
    check_damaged_files,
    check_explanation,
)
"""Checks of a fitted runner."""


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder by their path in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@contextmanager
def saved(runner: Runner) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tabular-bento-") as folder:
        runner.save(Path(folder))
        yield Path(folder)


def explains(runner_class: Any) -> bool:
    return bool(getattr(runner_class, "explains", False))


def same_files(what: str, found: Mapping[str, bytes], wanted: Mapping[str, bytes]) -> None:
    assert set(found) == set(wanted), f"{what} is stored in {sorted(found)}, not in {sorted(wanted)}"
    for name, content in wanted.items():
        assert found[name] == content, f"{what} is stored in other bytes, in {name}"


def _refused_file(runner_class: type[Runner], folder: Path, name: str, what: str, content: bytes | None) -> None:
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # NumPy leaves files open that it cannot read
        try:
            runner_class.load(folder)
        except (MemoryError, RecursionError, SystemError) as error:
            raise AssertionError(f"{name} {what}: `load` ends with {type(error).__name__}: {error}") from error
        except Exception:
            return
    raise AssertionError(f"{name} {what}: `load` has to raise an exception, and raises nothing")


def _same_scores(
    subject: FittedRunner, how: str, found: NDArray[Any], wanted: NDArray[Any], exact: bool | None = None
) -> None:
    runner = subject.runner
    assert found.shape == wanted.shape, f"scores {how} have the shape {found.shape}, not {wanted.shape}"
    if runner.exact if exact is None else exact:
        differs, rule = found != wanted, "every bit"
    else:
        differs = np.abs(found - wanted) > runner.tolerance * np.maximum(1, np.abs(wanted))
        rule = f"the tolerance of {runner.tolerance:g}"
    if differs.any():
        place = tuple(int(index) for index in np.argwhere(differs)[0])
        raise AssertionError(
            f"row {place[0]} has the score {found[place]!r} {how}, and {wanted[place]!r} before: they have to agree to "
            f"{rule}. A product or a sum over a whole batch adds in another order than over one row"
        )


def _members(content: bytes) -> Iterator[tuple[str, bytes]]:
    """A file, and the files in it where it is an archive."""
    yield "", content
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            yield from ((name, archive.read(name)) for name in archive.namelist())


def _is_pickle(content: bytes) -> bool:
    """Whether it begins as pickles of protocol 2 and later do, or is an array of objects, which NumPy pickles."""
    array = content.startswith(b"\x93NUMPY") and b"'|O'" in content[:256]
    return array or (content[:1] == b"\x80" and content[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"))


@contextmanager
def _watched_pickles() -> Iterator[list[str]]:
    """Refuse and list whatever is unpickled by name, by any library and in C too, inside the block."""
    if not _WATCHING:
        sys.addaudithook(_refuse_pickles)  # there is no removing it: it does nothing outside of such a block
    _WATCHING.append(True)
    _UNPICKLED.clear()
    try:
        yield _UNPICKLED
    finally:
        _WATCHING[-1] = False


def _refuse_pickles(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "pickle.find_class" and _WATCHING[-1]:
        _UNPICKLED.append(".".join(map(str, arguments)))
        raise RuntimeError(f"unpickling {_UNPICKLED[-1]} is not allowed")
