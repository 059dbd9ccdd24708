"""What the templates are filled with: choices as Python and TOML."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Any

from tabular_bento.data.csv_files import MISSING, PLAIN
from tabular_bento.data.database import VARIABLE
from tabular_bento.data.epochs import UNITS, instant_text
from tabular_bento.scaffold.choices import Choices
from tabular_bento.scaffold.columns import Chosen
from tabular_bento.scaffold.reading import TableInput
from tabular_bento.schema import Field, Kind

_LINE = 112
_SEVERAL_YEARS = 700
_SEVERAL_WEEKS = 14


def problem_of(name: str, table: TableInput, choices: Choices, example: dict[str, Any]) -> dict[str, Any]:
    """What `features/problem.py`, the service and the README name.

    Parameters
    ----------
    name : str
        The problem's name.
    table : TableInput
        The project's data.
    choices : Choices
        What is declared of them.
    example : dict
        A row in JSON values, by field.
    """
    more = _more_features(choices)
    task = {"regression": "Regression", "binary": "Binary", "multiclass": "Multiclass"}[choices.task]
    classes = f", classes={_tuple(choices.classes)}" if choices.classes else ""
    imported = {"FeatureSet", *(code.partition("(")[0] for code, _ in more)}
    without = [item for item in (choices.identifier, choices.event_time) if item]
    without += [item.name for item in choices.times if item.name not in without] if choices.event_time else []
    return {
        "name": name,
        "rows_key": "rows",
        "described": _described(table),
        "rows": choices.rows,
        "labelled": choices.labelled,
        "imports": sorted({"Field", "Kind", "Problem", task}),
        "feature_imports": sorted(imported, key=lambda word: (word.islower(), word)),
        "warnings": choices.warnings,
        "left_out": choices.left_out,
        "fields": [{"comment": _comment(item), "code": _field(item.field)} for item in choices.fields],
        "target": {"name": choices.target.name, "code": _field(choices.target.field)},
        "task": choices.task,
        "task_code": f"{task}(TARGET{classes})",
        "task_comment": f"{task}: {choices.task_why}. {_comment(choices.target)}.",
        "classes": [str(value).lower() if isinstance(value, bool) else str(value) for value in choices.classes],
        "without": _tuple(without) if without else "",
        "more_features": more,
        "identifier": choices.identifier,
        "event_time": choices.event_time,
        "segments": _tuple(choices.segments) if choices.segments else "",
        "example": _wrapped(example),
        "example_json": json.dumps(example, ensure_ascii=False),
        "label_json": json.dumps(choices.classes[-1] if choices.classes else choices.target.high),
    }


def source_of(table: TableInput, choices: Choices, copied: str | None) -> dict[str, Any]:
    """What `training/source.py` names.

    Parameters
    ----------
    table : TableInput
        The project's data.
    choices : Choices
        What is declared of them.
    copied : str, optional
        The path of their copy within the project.
    """
    settings = [f"columns={_dict(choices.renamed)}"] if choices.renamed else []
    settings += [f"epochs={_dict(choices.epochs)}"] if choices.epochs else []
    if choices.missing and table.is_csv:
        settings.append(f"missing={_tuple((*MISSING, *choices.missing))}")
    written = {name: getattr(table.written, name) for name in ("decimal", "encoding", "thousands", "dates", "trim")}
    settings += [f"{name}={_literal(value)}" for name, value in written.items() if value != getattr(PLAIN, name)]
    comments = []
    if table.query:
        place = _string(table.location) if len(table.location) < _LINE else f'"""{table.location}"""'
        comments.append(
            "TABULAR_BENTO_DATABASE in the environment names the database, with its password if it has one."
        )
    elif copied is None:
        place = _string(table.location)
        comments.append(
            "The table is read from where it is: a project elsewhere needs it there, or another place here."
        )
    else:
        place = f"str(Path(__file__).parents[1] / {' / '.join(map(_string, copied.split('/')))})"
    given = ["PROBLEM", place, *settings]
    one_line = ", ".join(given)
    name = "SQLSource" if table.query else "TableSource"
    lines = f"{name}({one_line})" if len(one_line) < _LINE - 20 else name + "(\n    " + ",\n    ".join(given) + ",\n)"
    return {
        "source_class": name,
        "source": lines,
        "comments": comments,
        "path": copied,
        **_environment_of(table),
    }


def _environment_of(table: TableInput) -> dict[str, Any]:
    """What the workflows give to the commands that read the data, and what their comments say of it."""
    if table.query:
        return {
            "environment": {VARIABLE: "secrets.DATABASE"},
            "variables": "",
            "secrets": "DATABASE, the URI of the database",
        }
    if table.driver == "s3fs":
        return {
            "environment": {
                "AWS_ACCESS_KEY_ID": "secrets.AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY": "secrets.AWS_SECRET_ACCESS_KEY",
                "AWS_ENDPOINT_URL": "vars.AWS_ENDPOINT_URL",
            },
            "variables": "AWS_ENDPOINT_URL, if the table is in an object store other than that of AWS",
            "secrets": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, of a user that may read the table",
        }
    return {"environment": {}, "variables": "", "secrets": ""}


def training_of(choices: Choices) -> dict[str, Any]:
    """What `training/config.toml` and `monitoring/config.toml` name: the model's size follows the rows."""
    rows = choices.labelled
    depths = [3, 4, 6] if rows < 5_000 else [4, 6, 8]
    parameters = {"max_depth": depths, "learning_rate": 0.05}
    return {
        "parameters": parameters,
        "calibration": choices.calibration,
        "min_labels": 200 if rows >= 2_000 else 50,
    }


def example_of(row: dict[str, Any], choices: Choices) -> dict[str, Any]:
    """A row of the table as a request holds it; missing values are left out.

    Parameters
    ----------
    row : dict
        Values by column, of the table's own types.
    choices : Choices
        What is declared of the table.
    """
    values = {
        item.name: instant_text(row[item.column], item.epoch)
        if item.epoch
        else _json(row[item.column], item.field.kind, choices.missing)
        for item in choices.fields
    }
    return {name: value for name, value in values.items() if value is not None}


def _json(value: Any, kind: Kind, missing: tuple[str, ...]) -> Any:
    if value is None or value != value or (isinstance(value, str) and value.strip() in (*MISSING, *missing)):
        return None
    match kind:
        case Kind.TEXT:
            return str(value)
        case Kind.INTEGER:
            return int(value)
        case Kind.NUMBER:
            return float(value)
        case Kind.BOOLEAN:
            return value if isinstance(value, bool) else value.lower() == "true"
        case Kind.DATE:
            return str(value)[:10]
    text = value if isinstance(value, str) else value.isoformat()
    text = text.replace(" ", "T")
    if kind is Kind.LOCAL_TIME:
        text = text.partition(".")[0]
        return f"{text}T00:00:00" if "T" not in text else text
    day, _, clock = re.sub("T?(UTC|GMT)$", "Z", text).partition("T")
    return f"{day}T{clock.replace('T', '')}"


def _more_features(choices: Choices) -> list[tuple[str, str]]:
    """Expressions of further features, each with what it is."""
    found = []
    if choices.categories:
        shares = choices.share_classes
        what = f"shares of the first {shares} classes" if shares else "mean target"
        more = f", classes={shares}" if shares else ""
        found.append(
            (f"target_means({_tuple(choices.categories)}{more})", f"{what} by category, smoothed, out of fold")
        )
    event = next((item for item in choices.times if item.name == choices.event_time), None)
    for item in choices.times:
        parts = _calendar_parts(item)
        if parts:
            found.append((f"calendar(FIELDS, {_string(item.name)}, {_tuple(parts)})", item.why))
        if event is not None and item is not event:
            found.append(
                (
                    f"elapsed(FIELDS, {_string(item.name)}, {_string(event.name)})",
                    "the time itself would drift for ever",
                )
            )
    return found


def _calendar_parts(item: Chosen) -> list[str]:
    """Parts that were seen often enough to be learnt from."""
    days = (date.fromisoformat(item.high[:10]) - date.fromisoformat(item.low[:10])).days
    parts = [] if item.field.kind is Kind.DATE else ["hour"]
    if days >= _SEVERAL_WEEKS:
        parts.append("day_of_week")
    if days >= _SEVERAL_YEARS:
        parts.append("month")
    return parts


def _described(table: TableInput) -> str:
    return "a query" if table.query else f"the table {table.location.rstrip('/').rpartition('/')[2]}"


def _comment(item: Chosen) -> str:
    text = f'"{item.column}": {item.why}' if item.column != item.name else item.why
    return f"{text}; the table has {UNITS[item.epoch]} since 1970, requests have ISO 8601" if item.epoch else text


def _field(item: Field) -> str:
    arguments = [_string(item.name), f"Kind.{item.kind.name}", _string(item.description)]
    for name in ("minimum", "maximum", "max_length"):
        value = getattr(item, name)
        if value is not None:
            arguments.append(f"{name}={_number(value)}")
    if item.optional:
        arguments.append("optional=True")
    return f"Field({', '.join(arguments)})"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def _string(text: str) -> str:
    """A text in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def _literal(value: Any) -> str:
    return _string(value) if isinstance(value, str) else repr(value)


def _tuple(values: Any) -> str:
    items = [_literal(value) for value in values]
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def _dict(values: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{_literal(key)}: {_literal(value)}" for key, value in values.items()) + "}"


def _wrapped(values: dict[str, Any]) -> str:
    """A dictionary, one entry a line where it is long."""
    short = _dict(values)
    if len(short) < _LINE - 16:
        return short
    return "{\n" + "".join(f"        {_literal(key)}: {_literal(value)},\n" for key, value in values.items()) + "    }"
