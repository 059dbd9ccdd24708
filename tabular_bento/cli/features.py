"""`tabular-bento features`: the catalogue of the project's features."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tabular_bento.cli.common import load_problem
from tabular_bento.errors import PackageError

if TYPE_CHECKING:
    from tabular_bento.problem import Problem
    from tabular_bento.scoring.package import ModelPackage


def features(
    model: Annotated[
        str | None,
        typer.Option(
            metavar="TAG",
            help="Model whose fitted state is shown, NAME:VERSION; by default the champion, or the latest where none "
            "was released.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
) -> None:
    """List the features: unit, description, the fields and look-ups that each one reads, and its importance.

    `missing` is the share of the training rows without a value. `importance` is how far predictions
    move when the feature is shuffled among the rows, as a share of that of all features. Both are of a model, and left
    out where none was trained yet.

    Exit codes: 0 done; 2 there is no project, or wrong arguments; 3 the model is not there, or is damaged.
    """
    problem = load_problem()
    package = _package(problem, model)
    document = catalogue(problem, package)
    print(json.dumps(document, allow_nan=False) if as_json else _text(document))


def catalogue(problem: Problem, package: ModelPackage | None = None) -> dict[str, Any]:
    """What is known of a problem's features.

    Parameters
    ----------
    problem : Problem
        The problem.
    package : ModelPackage, optional
        A model of it, for what was fitted and measured.

    Returns
    -------
    dict
        `model`, the tag; `features`, each with name, unit, description, fields, lookups, missing and importance;
        `lookups`, each with name, kind, by, cells and known.
    """
    from tabular_bento.features.catalogue import fitted_state, inputs_of

    columns = package.profile["columns"] if package else {}
    listed = []
    for item in problem.features.features:
        inputs = inputs_of(item, problem.features, problem.field_names)
        measured = columns.get(f"feature.{item.name}", {})
        listed.append(
            {
                "name": item.name,
                "unit": item.unit,
                "description": item.description,
                "fields": list(inputs.fields),
                "lookups": list(inputs.lookups),
                "missing": measured.get("missing"),
                "importance": measured.get("importance"),
            }
        )
    lookups = []
    for lookup in problem.features.lookups:
        state = fitted_state(lookup, package.extractor.state) if package else {"cells": None, "known": None}
        by = list(inputs_of(lookup, problem.features, problem.field_names).fields)
        lookups.append({"name": lookup.name, "kind": type(lookup).__name__, "by": by, **state})
    return {"model": package.tag if package else None, "features": listed, "lookups": lookups}


def _package(problem: Problem, model: str | None) -> ModelPackage | None:
    from tabular_bento.scoring.package import ModelPackage
    from tabular_bento.scoring.releases import ALIAS
    from tabular_bento.scoring.store import find_model

    try:
        found = find_model(model or f"{problem.name}:{ALIAS}")
    except PackageError:
        if model is None:
            return None
        raise
    return ModelPackage.load(found.directory, found.tag, problem)


def _text(document: dict[str, Any]) -> str:
    lines = [f"model  {document['model'] or 'none was trained yet: run `tabular-bento train`'}", ""]
    lines += _table(
        ("feature", "unit", "missing", "importance", "reads", "description"),
        [
            (
                item["name"],
                item["unit"],
                _percent(item["missing"]),
                _percent(item["importance"]),
                ", ".join([*item["fields"], *(f"[{name}]" for name in item["lookups"])]),
                item["description"],
            )
            for item in document["features"]
        ],
    )
    if document["lookups"]:
        heads = ("look-up", "kind", "by", "values", "known")
        rows = [
            (item["name"], item["kind"], ", ".join(item["by"]), _count(item["cells"]), _count(item["known"]))
            for item in document["lookups"]
        ]
        lines += ["", *_table(heads, rows)]
    return "\n".join(lines)


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [heads, *rows]
    ]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"
