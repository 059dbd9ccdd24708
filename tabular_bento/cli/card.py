"""`tabular-bento card`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tabular_bento.cli.common import FAILED, Json, fail, project
from tabular_bento.cli.report import open_page


def card(
    tag: Annotated[
        str | None,
        typer.Argument(
            metavar="TAG",
            show_default=False,
            help="Model of the store, NAME:VERSION; by default the project's latest.",
        ),
    ] = None,
    only_path: Annotated[bool, typer.Option("--path", help="Print the path of the card; open nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Open the model card of a model in the browser: one HTML page, which is part of the model's package.

    It shows the data and their split, metrics with intervals beside the baselines, calibration or residuals, segments,
    importance of features, limits, settings and versions. Where there is no display, the path is printed.

    Exit codes: 0 opened, or its path printed; 2 wrong arguments; 3 there is no such model, or it has no card.

    Examples:
      tabular-bento card
      tabular-bento card prices:latest --path
    """
    open_page(_path(tag), only_path, as_json)


def _path(tag: str | None) -> Path:
    from tabular_bento.scoring.package import CARD_FILE
    from tabular_bento.scoring.store import find_model

    hint = "Or name the model: `tabular-bento card NAME:VERSION`."
    wanted = tag or f"{project(hint).load_problem().name}:latest"
    found = find_model(wanted)
    path = found.directory / CARD_FILE
    if not path.is_file():
        raise fail(f"The model {found.tag} has no card: there is no {path}. `tabular-bento train` makes one.", FAILED)
    return path
