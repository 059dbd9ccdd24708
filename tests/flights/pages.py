"""What the pages of documentation name, found in their text: commands, options, blocks of code."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import typer

from tabular_bento.cli import COMMANDS, application
from tests.conftest import ROOT

TEMPLATE = ROOT / "tabular_bento" / "template"
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/README.md"))

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *(folder / "README.md" for folder in EXAMPLES),
    TEMPLATE / "README.md.jinja",
]

OF_NEW_PROJECTS = ("first-project.md", "write-a-feature.md", "postgresql.md", "object-store.md", "README.md.jinja")
"""Pages whose commands are those of a project that `tabular-bento new` has made."""

SHELLS = ("console", "sh", "")
OPERATORS = ("|", "||", "&&", ";", ">", "2>", "&")


@dataclass(frozen=True)
class Command:
    """A command that a page shows.

    Attributes
    ----------
    words : tuple of str
        Its words.
    typed : bool
        Whether it stands in a block to be typed, and not within a text.
    """

    words: tuple[str, ...]
    typed: bool

    def __str__(self) -> str:
        return " ".join(self.words)


def text_of(page: Path) -> str:
    """The text of a page; that of a template with a project's name."""
    text = re.sub(r"^{%.*?%}\n", "", page.read_text(), flags=re.MULTILINE)
    return re.sub(r"\[\[.*?\]\]", "flights", text)


def blocks(page: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a page: language and text."""
    found = re.findall(r"^ *```(\w*)\n(.*?)^ *```", text_of(page), re.DOTALL | re.MULTILINE)
    return [(language, text) for language, text in found]


def shell(language: str, text: str) -> str:
    """What is typed of a block, with each command on one line and without the prompts."""
    text = text.replace("\\\n", " ")
    if language == "console":
        return "\n".join(re.findall(r"^\$ (.*(?:\n {4}.*)*)", text, re.MULTILINE))
    return text


def commands(page: Path) -> Iterator[Command]:
    """The commands of a page, in blocks and within the text."""
    for language, text in blocks(page):
        if language in SHELLS:
            for line in shell(language, text).splitlines():
                yield from split(line, typed=True)
    for text in spans(page):
        yield from split(text, typed=False)


def spans(page: Path) -> list[str]:
    """What is set as code within the text of a page."""
    text = re.sub(r"^ *```.*?^ *```", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]


def split(line: str, *, typed: bool) -> Iterator[Command]:
    """The commands of a line, which pipes and the like set apart."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        words = line.split()
    current: list[str] = []
    for word in [*words, ";"]:
        if word in OPERATORS or word.endswith(";"):
            current += [word[:-1]] if word not in OPERATORS and word[:-1] else []
            if current:
                yield Command(tuple(current), typed)
            current = []
        else:
            current.append(word)


def after(command: Command, program: str) -> list[str] | None:
    """The arguments of a program, where the command runs it: by name, by path or by `-m`."""
    for index, word in enumerate(command.words):
        if word == program or word.endswith(f"/{program}"):
            return list(command.words[index + 1 :])
        if word == "-m" and command.words[index + 1 : index + 2] == (program.replace("-", "_"),):
            return list(command.words[index + 2 :])
        if "=" not in word and not word.startswith("-") and "python" not in word:
            return None
    return None


@cache
def parser(name: str) -> Any:
    """The command of the command line that has this name, which may be of two words."""
    found: Any = typer.main.get_command(application(wanted=name.split()[0]))
    for word in name.split():
        found = found.commands[word]
    return found


def wrong_arguments(arguments: list[str], *, whole: bool) -> str | None:
    """What is wrong with the arguments of `tabular-bento`; nothing where they can be parsed.

    Parameters
    ----------
    arguments : list of str
        What follows the program's name.
    whole : bool
        Whether options that are required must be there.
    """
    if not arguments or arguments[0] in ("--help", "--version", "COMMAND"):
        return None
    names = {command.name for command in COMMANDS}
    count = 2 if " ".join(arguments[:2]) in names else 1
    name = " ".join(arguments[:count])
    if name not in names:
        return f"there is no command {name!r}"
    command, rest = parser(name), arguments[count:]
    context = command.make_context(name, [], resilient_parsing=True)
    context.resilient_parsing = False
    rest = [word for word in rest if word != "..."]
    if not whole and rest and rest[-1].startswith("--"):  # an option that is named without its value
        return None if rest[-1] in options() else f"{name}: there is no option {rest[-1]}"
    try:
        given, left, _ = command.make_parser(context).parse_args(rest)
    except Exception as error:  # a class of click, which typer may bring itself
        return f"{name}: {error}"
    if left:
        return f"{name}: {left} is too much"
    eager = [param.name for param in command.get_params(context) if param.is_eager and given.get(param.name)]
    absent = [param.name for param in command.get_params(context) if param.required and not given.get(param.name)]
    return f"{name}: {absent} is missing" if whole and absent and not eager else None


@cache
def options() -> frozenset[str]:
    """The options of all commands."""
    found = [
        option
        for command in COMMANDS
        for param in parser(command.name).params
        for option in (*param.opts, *param.secondary_opts)
    ]
    return frozenset(found) | {"--help", "--version"}


def variables() -> set[str]:
    """Environment variables that options can be given by."""
    named = [getattr(param, "envvar", None) for command in COMMANDS for param in parser(command.name).params]
    return {name for name in named if isinstance(name, str)}
