"""The command `tabular-bento`.

A command is a function of a module of this package with typer's options, and its docstring is its help. The module is
imported when the command is called, so that `tabular-bento --help` needs none of the libraries that commands work with.
"""

from __future__ import annotations

import atexit
import inspect
import os
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import NoReturn

import typer

from tabular_bento import __version__
from tabular_bento.cli.common import guarded

__all__ = ["COMMANDS", "Command", "application", "main", "monitoring_main", "program", "training_main"]


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its name, of two words where it is one of a group, and the function that it runs.

    Parameters
    ----------
    name : str
        What is typed after `tabular-bento`.
    function : str
        ``module:function``, the module within this package.
    summary : str
        Its line in the list of commands.
    """

    name: str
    function: str
    summary: str

    def load(self) -> Callable[..., object]:
        """The function; imports its module."""
        module, _, name = self.function.partition(":")
        function: Callable[..., object] = getattr(import_module(f"{__name__}.{module}"), name)
        return function


COMMANDS = (
    Command("new", "new:new", "Make a project from a table: a CSV or Parquet file, or a query."),
    Command("train", "train:train", "Train a model, measure it, and save it if it passes the gate."),
    Command("import", "importing:import_model", "Make a package of a model that was fitted elsewhere."),
    Command("card", "card:card", "Open the model card of a model in the browser."),
    Command("release", "release:release", "Make a model the champion, if it is not worse."),
    Command("rollback", "release:rollback", "Make the previous champion the champion again."),
    Command("history", "release:history", "List the champions, the newest first."),
    Command("reload", "reload:reload", "Make a running server load the champion."),
    Command("replay", "replay:replay", "Send rows of the data source to a server, then their labels."),
    Command("drift", "drift:drift", "Compare a window of logged traffic with the training data."),
    Command("compare", "compare:compare", "Decide whether one model may replace another."),
    Command("skew", "skew:skew", "Recompute logged predictions, and compare them to the bit."),
    Command("report", "report:report", "Open the newest report, or the one named, in the browser."),
    Command("log seal", "log:seal", "Turn finished files of the traffic log into Parquet, by date."),
    Command("features", "features:features", "List the features: what each one is and what it reads."),
    Command("demo", "demo:demo", "Train, serve, replay, and report drift, comparison and skew."),
)

GROUPS = {"log": "Maintain the traffic log."}
"""What is said of the first word of names of two words."""

TRAINING = ("train", "import", "card", "release", "rollback", "history")
MONITORING = ("replay", "drift", "compare", "skew", "report")
"""The commands of a project's `python -m training` and `python -m monitoring`."""

_HELP = """Takes a tabular model from data to monitored production.

Commands work on the project of this folder, or of the nearest folder above it whose pyproject.toml has a table
[tool.tabular-bento]. The champion is the model that was released: servers follow it.

`tabular-bento COMMAND --help` has the options and the exit codes of a command. A command that fails prints one line
that says what to do, and ends with 2 where an argument or a setting is wrong, else with 3."""

_WIDTH = 100
"""Columns of the help on a terminal that has so many."""


def application(prog: str = "tabular-bento", wanted: str | None = None, only: Sequence[str] = ()) -> typer.Typer:
    """The application.

    Parameters
    ----------
    prog : str
        How it is called, which its messages begin with.
    wanted : str, optional
        Only commands whose name begins with this word are imported, by default all.
    only : sequence of str
        The commands that it has, by default all.
    """
    app = _typer(_HELP)
    app.callback()(_options)
    groups: dict[str, typer.Typer] = {}
    for command in COMMANDS:
        if only and command.name not in only:
            continue
        *group, name = command.name.split()
        function = _listed if wanted is not None and command.name.split()[0] != wanted else command.load()
        home = app
        if group:
            if group[0] not in groups:
                groups[group[0]] = _typer(GROUPS[group[0]])
                app.add_typer(groups[group[0]], name=group[0])
            home = groups[group[0]]
        home.command(name, help=_help(function), short_help=command.summary)(
            guarded(f"{prog} {command.name}", function)
        )
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `tabular-bento` and return its exit code."""
    return _run("tabular-bento", _given(arguments))


def program() -> NoReturn:
    """Run `tabular-bento` as this process's program.

    At its end the process does not free its objects one by one, which would take a second where Evidently is among
    them. Whatever was registered with `atexit` meanwhile is run first.
    """
    code: int | None = None

    def leave() -> None:
        if code is None:
            return
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:  # nobody reads any more: Python itself says so at its usual end
            return
        os._exit(code)

    atexit.register(leave)
    code = main()
    sys.exit(code)


def training_main(arguments: Sequence[str] | None = None) -> int:
    """Run `python -m training` of a project: `train`, unless another command of training is named."""
    given = _given(arguments)
    if not given or given[0] not in (*TRAINING, "--help", "--version"):
        given = ["train", *given]
    return _run("python -m training", given, TRAINING)


def monitoring_main(arguments: Sequence[str] | None = None) -> int:
    """Run `python -m monitoring` of a project: the commands that look at traffic."""
    return _run("python -m monitoring", _given(arguments), MONITORING)


def _given(arguments: Sequence[str] | None) -> list[str]:
    return list(sys.argv[1:] if arguments is None else arguments)


def _run(prog: str, arguments: list[str], only: Sequence[str] = ()) -> int:
    wanted = next((argument for argument in arguments if not argument.startswith("-")), "")
    try:
        application(prog, wanted, only)(arguments, prog_name=prog)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _typer(text: str) -> typer.Typer:
    return typer.Typer(
        help=text,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"max_content_width": _WIDTH},
    )


def _help(function: Callable[..., object]) -> str:
    """A command's help: its docstring, with a line for each exit code, and examples as they are written."""
    return "\n\n".join(map(_paragraph, (inspect.getdoc(function) or "").split("\n\n")))


def _paragraph(text: str) -> str:
    """A paragraph, whose line breaks are kept where it is a list, as `\\b` asks for."""
    if text.startswith("Exit codes: "):
        codes = re.split(r"; (?=\d )", " ".join(text.split()).removeprefix("Exit codes: ").removesuffix("."))
        lines = (textwrap.fill(code, 74, initial_indent="  ", subsequent_indent="    ") for code in codes)
        return "\n".join(["\b", "Exit codes:", *lines])
    return f"\b\n{text}" if text.startswith("Examples:") else text


def _listed() -> None:
    """A command that is only listed."""


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tabular-bento {__version__}")
        raise typer.Exit


def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Options of the application itself; the version is printed by its callback."""
