"""`tabular-bento new`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tabular_bento.cli.common import WRONG_ARGUMENTS, Json, failing

if TYPE_CHECKING:
    from tabular_bento.scaffold.choices import Choices

_SHOWN_FIELDS = 40
_WIDEST_NAME = 48


def new(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of the project, which is made. Its name is the model's name.")
    ],
    table: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="TABLE",
            help="A CSV or Parquet file, a folder of Parquet files, a URI such as s3://bucket/rows.parquet, a query "
            "that begins with SELECT, or a file .sql that holds one. TABULAR_BENTO_DATABASE names the database.",
        ),
    ],
    target: Annotated[str, typer.Option(metavar="COLUMN", help="Column that is predicted.")],
    time: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column with the time of a row, in ISO 8601 or as seconds or milliseconds since 1970; the split and "
            "windows then go by it. By default rows have no time.",
        ),
    ] = None,
    identifier: Annotated[
        str | None,
        typer.Option(
            "--id", metavar="COLUMN", help="Column that identifies a row; it is returned with the prediction."
        ),
    ] = None,
    task: Annotated[
        Literal["regression", "binary", "multiclass"] | None,
        typer.Option(help="Kind of prediction; by default the one that the target suggests."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a project from a table, with its own environment, tests, service, monitoring and workflows.

    Kinds, ranges, optional fields, the task and segments follow from the table. A comment in features/problem.py
    explains each choice; read and change them. Identifiers and constant columns are left out. Columns that give the
    target away, and rows that are there twice, are reported.

    Then `make demo` in the folder trains, serves, sends the test part with its labels, and reports drift.

    Examples:
      tabular-bento new rents --from flats.csv --target rent --time signed
      tabular-bento new churn --from "SELECT * FROM customers" --target left

    Exit codes: 0 made; 2 wrong arguments, or no sensible project can be made of the table; 3 the table cannot be
    read, or the folder not written.
    """
    from tabular_bento.errors import ScaffoldError
    from tabular_bento.scaffold.choices import choose
    from tabular_bento.scaffold.declaring import example_of
    from tabular_bento.scaffold.reading import TableInput
    from tabular_bento.scaffold.summary import summarise
    from tabular_bento.scaffold.suspicions import duplicates, suspected_leaks
    from tabular_bento.scaffold.writing import check_folder, write_project

    with failing({ScaffoldError: WRONG_ARGUMENTS}):
        check_folder(folder.absolute())
        given = TableInput.of(table)
        with given.batches() as batches:
            summary = summarise(batches, typed=not given.is_csv)
        choices = choose(summary, target, time, identifier, task)
        choices = choices.warn([*given.remarks(), *suspected_leaks(summary, choices), *duplicates(summary)])
        first = summary.sample.slice(0, 1).to_pylist()[0]
        made = write_project(folder, given, choices, example_of(first, choices))
    print(_table(choices))
    for warning in choices.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"\nmade {made}\n\nnext: cd {folder} && make demo")
    if as_json:
        print(json.dumps(_document(made, choices)))


def _table(choices: Choices) -> str:
    """What was chosen, in lines."""
    lines = [f"target  {choices.target.name}: {choices.task}, for {choices.task_why}", "fields"]
    rows = []
    for item in choices.fields[:_SHOWN_FIELDS]:
        role = {choices.identifier: ", identifier", choices.event_time: ", event time"}.get(item.name, "")
        optional = ", optional" if item.field.optional else ""
        named = item.name if item.name == item.column else f"{item.name} ({item.column!r})"
        rows.append((named, f"{item.field.kind.value}{optional}{role}"))
    lines += _aligned(rows)
    if len(choices.fields) > _SHOWN_FIELDS:
        lines.append(f"  and {len(choices.fields) - _SHOWN_FIELDS} more")
    if choices.left_out:
        lines += ["left out", *_aligned([(name or "''", reason) for name, reason in choices.left_out[:_SHOWN_FIELDS]])]
        if len(choices.left_out) > _SHOWN_FIELDS:
            lines.append(f"  and {len(choices.left_out) - _SHOWN_FIELDS} more")
    return "\n".join(lines)


def _aligned(rows: list[tuple[str, str]]) -> list[str]:
    """Lines of two columns; a long name moves only what is beside it."""
    width = max((len(name) for name, _ in rows if len(name) <= _WIDEST_NAME), default=0)
    return [f"  {name:<{width}}  {text}" for name, text in rows]


def _document(folder: Path, choices: Choices) -> dict[str, object]:
    return {
        "folder": str(folder),
        "task": choices.task,
        "target": choices.target.name,
        "classes": list(choices.classes),
        "fields": {item.name: item.field.kind.value for item in choices.fields},
        "left_out": dict(choices.left_out),
        "rows": choices.rows,
        "labelled": choices.labelled,
        "warnings": list(choices.warnings),
    }
