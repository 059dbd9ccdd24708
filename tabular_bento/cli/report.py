"""`tabular-bento report`."""

from __future__ import annotations

import json
import os
import sys
import webbrowser
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import typer

from tabular_bento.cli.common import FAILED, WRONG_ARGUMENTS, Json, fail, project
from tabular_bento.errors import ProjectError

LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of report: the name of its file, and the command that makes one."""

    file: str
    command: str


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "drift": Kind("report.html", "tabular-bento drift --from TIME --to TIME --out var/drift"),
        "compare": Kind(
            "compare.html",
            "tabular-bento compare --baseline MODEL --candidate MODEL --on test --not-worse --out var/compare",
        ),
        "skew": Kind("skew.html", "tabular-bento skew --from TIME --to TIME --out var/skew"),
    }
)
"""The kinds by name."""

_WITHOUT_REPORTS = ("runs", "date=")
"""Beginnings of the names of folders that are not searched: copies of past reports, and the log."""

_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
"""Variables of which one is set where a browser can show a page, on other systems than macOS and Windows."""


def report(
    which: Annotated[
        str,
        typer.Argument(
            metavar="latest|KIND|DIR",
            show_default=False,
            help="`latest`, the default, is the newest report of any kind; drift, compare or skew the newest of that "
            "kind; a folder the newest in it.",
        ),
    ] = LATEST,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            metavar="DIR",
            help="Folder to search for reports; by default var/ of the project.",
        ),
    ] = None,
    only_path: Annotated[bool, typer.Option("--path", help="Print the path of the report; open nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Open a report of drift, comparison or skew in the browser.

    It is the one that was written last in --dir and the folders below. Where there is no display, the path is
    printed. What a training found is in the model card: `tabular-bento card`.

    Exit codes: 0 opened, or its path printed; 2 wrong arguments; 3 there is no such report.

    Examples:
      tabular-bento report
      tabular-bento report drift
      tabular-bento report var/demo/compare --path
    """
    open_page(_newest(which, folder), only_path, as_json)


def open_page(path: Path, only_path: bool, as_json: bool) -> None:
    """Open a page in the browser, or print its path where that is asked for or there is no display."""
    if only_path:
        print(path)
        return
    opened = _has_display() and webbrowser.open(path.as_uri())
    print(f"opened {path}" if opened else f"There is no browser with a display: open {path}")
    if as_json:
        print(json.dumps({"report": str(path), "opened": opened}))


def show_report(path: Path) -> None:
    """Open a report where somebody is there to see it, on a terminal with a display; elsewhere print its path."""
    path = path.resolve()
    if sys.stdout.isatty():
        open_page(path, only_path=False, as_json=False)
    else:
        print(f"the report is {path}")


def _newest(which: str, folder: Path | None) -> Path:
    """The report that was written last: of a kind, of a folder, or of all."""
    if which in KINDS or which == LATEST:
        root = folder or _default_folder()
        kinds = [which] if which in KINDS else list(KINDS)
    else:
        root, kinds = Path(which), list(KINDS)
        if folder is not None:
            raise fail(f"--dir is for {LATEST} and kinds: leave it out with the folder {which}.", WRONG_ARGUMENTS)
        if not root.is_dir():
            known = ", ".join((LATEST, *KINDS))
            raise fail(f"{which!r} is neither a folder nor one of {known}.", WRONG_ARGUMENTS)
    found = [*_reports(root, {KINDS[name].file for name in kinds})]
    if not found:
        what = f"{which} report" if which in KINDS else "report"
        named = which in KINDS or which == LATEST
        command = KINDS[which if which in KINDS else "drift"].command
        rest = ", or name their folder" if named else ""
        raise fail(f"There is no {what} in {root.resolve()}: make one with `{command}`{rest}.", FAILED)
    return max(found, key=lambda path: path.stat().st_mtime).resolve()


def _default_folder() -> Path:
    """`var` of the project, and outside of any that of the working folder."""
    try:
        return project().root / "var"
    except ProjectError:
        return Path("var")


def _reports(root: Path, names: set[str]) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith((".", *_WITHOUT_REPORTS))]
        yield from (Path(folder) / name for name in files if name in names)


def _has_display() -> bool:
    return sys.platform in ("darwin", "win32") or any(map(os.environ.get, _SCREENS))
