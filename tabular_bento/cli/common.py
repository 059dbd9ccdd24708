"""What the commands have in common: their project, their options, and what they say where they fail."""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tabular_bento.environment import READ_BY_COMMANDS, unknown_variables
from tabular_bento.errors import ConfigError, GateError, ProblemError, ProjectError, TabularBentoError

if TYPE_CHECKING:
    from tabular_bento.monitoring.comparison.settings import CompareSettings
    from tabular_bento.problem import Declaration, Problem
    from tabular_bento.project import Project

FAILED = 3
"""The exit code of a command that could not do its work."""

WRONG_ARGUMENTS = 2
"""That of wrong arguments, settings or declarations, and of a folder without a project."""

LEAST_MEMORY = 16
"""Megabytes below which DuckDB cannot join a partition, however much it spills."""

_EXIT_CODES: Mapping[type[Exception], int] = MappingProxyType(
    {GateError: 1, ConfigError: WRONG_ARGUMENTS, ProblemError: WRONG_ARGUMENTS, ProjectError: WRONG_ARGUMENTS}
)
_RUNNING = ContextVar("running", default="tabular-bento")
"""The command that runs, which its messages begin with."""

_TRAFFIC_DIR = "TABULAR_BENTO_TRAFFIC_DIR"

_MOMENT = "an ISO 8601 date or time. A time with an offset is converted to UTC; write a local time without one"


def moment(text: str | datetime) -> datetime:
    """An ISO 8601 date or time without an offset; one that has an offset is converted to UTC first."""
    if isinstance(text, datetime):
        return text
    try:
        read = datetime.fromisoformat(text)
        return read.astimezone(UTC).replace(tzinfo=None) if read.tzinfo else read
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is no date or time, such as 2013-07-01") from None


def megabytes(text: str | int) -> int:
    """A size in MB or GB as megabytes."""
    if isinstance(text, int):
        return text
    found = re.fullmatch(r"(\d{1,7}) ?(MB|GB)", text.strip(), re.IGNORECASE)
    size = int(found[1]) * (1_000 if found[2].upper() == "GB" else 1) if found else 0
    if size < LEAST_MEMORY:
        raise typer.BadParameter(f"{text!r} is no size of at least {LEAST_MEMORY}MB, such as 512MB or 1GB")
    return size


_FROM = typer.Option(
    "--from", parser=moment, metavar="TIME", show_default=False, help=f"Start of the window: {_MOMENT}."
)
_TO = typer.Option("--to", parser=moment, metavar="TIME", show_default=False, help="End of the window, not included.")
_ON = "Time that the window goes by: `time`, when a row was predicted in UTC, or the name of the problem's event time."

Start = Annotated[datetime, _FROM]
OptionalStart = Annotated[datetime | None, _FROM]
End = Annotated[datetime, _TO]
OptionalEnd = Annotated[datetime | None, _TO]
On = Annotated[str, typer.Option("--window-on", metavar="COLUMN", help=_ON)]
WindowOn = Annotated[str | None, typer.Option("--window-on", metavar="COLUMN", help=f"{_ON} By default `time`.")]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="TAG",
        help="Model whose rows are taken, NAME:VERSION; by default the one with the most rows in the window.",
    ),
]
TrafficDir = Annotated[
    str | None,
    typer.Option(
        "--traffic-dir",
        metavar="DIR",
        help=f"The traffic log, a folder or a URI such as s3://bucket/traffic; by default {_TRAFFIC_DIR}, else the "
        "folder that the project's server writes.",
    ),
]
Out = Annotated[
    Path,
    typer.Option("--out", metavar="DIR", show_default=False, help="Folder for the result and the report."),
]
Sample = Annotated[
    int | None,
    typer.Option("--sample", min=1, metavar="N", help="Take N rows, evenly drawn; by default all."),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, metavar="N", help="Read the log with N Dask processes on this machine."),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="URL",
        help="Read the log with the workers of this Dask scheduler, such as tcp://host:8786. They must have the same "
        "version of the library, and see the log and the folder of --spill.",
    ),
]
Spill = Annotated[
    str | None,
    typer.Option(
        "--spill",
        metavar="DIR",
        help="Folder for temporary files of some 100 bytes a row, removed at the end; by default TMPDIR.",
    ),
]
Memory = Annotated[
    int | None,
    typer.Option(
        "--memory",
        parser=megabytes,
        metavar="SIZE",
        help="Memory of DuckDB in each thread or worker, beyond which it spills, such as 1GB; by default 256MB.",
    ),
]
AsOf = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        parser=moment,
        metavar="TIME",
        help="Time in UTC at which the age of predictions is measured; by default now.",
    ),
]
Metric = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Metric that decides, such as rmse or log_loss; by default both metrics of the task."
    ),
]
Margin = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="Share of the metric that may be lost; by default 0.01."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]
Settings = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="TOML file of settings that override those of the project."),
]
SourceUri = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="URI",
        help="Folder, file or database for the project's source to read in place of its own; without a password.",
    ),
]


def check_window(start: datetime, end: datetime) -> None:
    """End the command where a window is empty."""
    if start >= end:
        raise fail("--from must be before --to", WRONG_ARGUMENTS)


def project(otherwise: str = "") -> Project:
    """The project of the current folder, which is the nearest one in it or above it.

    Parameters
    ----------
    otherwise : str
        What may be done without a project, for the message where there is none.

    Raises
    ------
    ProjectError
        Where there is none.
    """
    from tabular_bento.project import Project

    try:
        return Project.find()
    except ProjectError as error:
        raise ProjectError(f"{error} {otherwise}".rstrip()) from error


def project_if_any() -> Project | None:
    """The project of the current folder, where there is one."""
    from tabular_bento.project import Project

    try:
        return Project.find()
    except ProjectError:
        return None


def load_problem() -> Problem:
    """The declaration of the current folder's project, with its features.

    Raises
    ------
    ProjectError
        Where there is no project, or its problem cannot be imported.
    """
    return project().load_problem()


def load_source() -> Any:
    """The data source of the current folder's project.

    Raises
    ------
    ProjectError
        Where there is no project, or it has no source.
    """
    return project().load_source()


def compare_settings(found: Project | None, given: Mapping[str, Any]) -> CompareSettings:
    """Settings of a comparison: options, else the environment's, else the project's table [compare].

    Raises
    ------
    CompareError, ConfigError
        For the first that is wrong.
    """
    from tabular_bento.monitoring import files
    from tabular_bento.monitoring.comparison.settings import read_settings

    return read_settings(files.read_settings(found.monitoring if found else None, "compare"), **given)


def declaration_of(model: str | None) -> Declaration:
    """The declaration of a model of the store, which needs no project; that of the project where none is named.

    Raises
    ------
    PackageError
        Where the store has no such model or it is damaged.
    ProjectError
        Where no model is named and the folder has no project.
    """
    if model is None:
        return project("Or name the model by --model NAME:VERSION.").load_problem().declaration
    from tabular_bento.scoring.package import read_declaration
    from tabular_bento.scoring.store import find_model

    return read_declaration(find_model(model).directory)


def traffic_dir(given: str | None, problem: Callable[[], str]) -> str:
    """The traffic log: the folder or URI given, else that of the environment, else the folder of the problem's server.

    Parameters
    ----------
    given : str, optional
        The option.
    problem : callable
        Gives the problem's name, where it is needed.
    """
    if found := given or os.environ.get(_TRAFFIC_DIR):
        return found if "://" in found else str(Path(found).expanduser().absolute())
    from tabular_bento.traffic.schema import default_directory

    return str(default_directory(problem()))


def fail(message: object, code: int = FAILED) -> typer.Exit:
    """Say why on stderr; the exception to raise, which ends the command with the exit code."""
    print(f"{_RUNNING.get()}: {message}", file=sys.stderr)
    return typer.Exit(code)


def show_result(
    table: str, width: int, out: Path, names: tuple[str | None, str | None], summary: Mapping[str, object] | None
) -> None:
    """Print what a job found, and where its result and its report are.

    Parameters
    ----------
    table : str
        A few lines for people, whose first words take up `width` characters.
    width : int
        See `table`.
    out : Path
        The folder of both files.
    names : tuple of str
        The names of the result and of the report; None of one that could not be written.
    summary : mapping, optional
        What the JSON object on the last line holds beside the files; None where none is wanted.
    """
    files = {kind: str(out / name) if name else None for kind, name in zip(("result", "report"), names, strict=True)}
    print("\n".join([table, *(f"{kind:<{width}} {path}" for kind, path in files.items() if path)]))
    if summary is not None:
        print(json.dumps({**summary, **files}, allow_nan=False))


@contextmanager
def failing(codes: Mapping[type[Exception], int] = _EXIT_CODES, otherwise: int = FAILED) -> Iterator[None]:
    """Within it an error of this library or of the system ends the command, with one line on stderr and an exit code.

    Parameters
    ----------
    codes : mapping
        Exit codes by class of error; the first class that an error is of counts.
    otherwise : int
        The exit code of every other error.
    """
    try:
        yield
    except (TabularBentoError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        code = next((code for kind, code in codes.items() if isinstance(error, kind)), otherwise)
        raise fail(error, code) from error


def guarded(command: str, function: Callable[..., object]) -> Callable[..., object]:
    """A command whose errors end it with one line on stderr, after the traceback where nobody foresaw the error.

    Python's own exit code for an exception, 1, is a result of several commands, such as a drift.
    """

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> object:
        _RUNNING.set(command)
        _warn_of_variables()
        try:
            with failing():
                return function(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.BadParameter, KeyboardInterrupt, BrokenPipeError):
            raise
        except Exception as error:
            traceback.print_exc()
            raise fail(f"{type(error).__name__}: {error}") from error

    return run


def _warn_of_variables() -> None:
    """Report variables of the environment that look like settings and are none.

    What a server reads is looked up where there is such a name alone, for its settings take long to import.
    """
    if any(unknown_variables(READ_BY_COMMANDS)):
        from tabular_bento.serving.settings import unknown_settings

        for message in unknown_settings():
            print(f"warning: {message}", file=sys.stderr)


def on_a_terminal() -> bool:
    """Whether progress is to be shown."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
