"""`tabular-bento import`."""

from __future__ import annotations

import json
import sys
import warnings
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from tabular_bento.cli.common import WRONG_ARGUMENTS, Json, fail, project
from tabular_bento.cli.train import Progress, measured, read_data, rows_line, table

_READERS = {
    ".keras": "keras_files:import_keras",
}
"""By suffix the function of `tabular_bento.training` that makes a runner of a file.

It is called with the file, the problem and the data set, and by name `rows`, the file of sample rows or None, and
`trust`.
"""


def import_model(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The model, such as model.keras.")],
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Settings in TOML, before those of the project's file."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="URI", help="What the project's source reads: a folder, a file or a database, without a password."
        ),
    ] = None,
    rows: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Rows that the model was given elsewhere, a Parquet file.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Read a file that may run code while it is read, such as a pickle.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Save the model although the gate refuses it.")] = False,
    as_json: Json = False,
) -> None:
    """Make a package of a model that was fitted elsewhere, measured on the project's data as `train` measures one.

    A .keras file is read without Keras, and nothing in it is executed: it is served as a model of the runner keras is.
    Its input is the matrix of the project's features.

    Exit codes: 0 saved; 1 refused by the gate; 2 the settings or the arguments are wrong; 3 the file, the data or the
    store is.
    """
    if file.suffix not in _READERS:
        known = ", ".join(_READERS)
        raise fail(f"{file}: models are imported from files that end in {known}.", WRONG_ARGUMENTS)
    here = project()
    problem = here.load_problem()
    from tabular_bento.training.config import load_config

    files = [path for path in (here.training, config) if path is not None]
    given: dict[str, Any] = {} if source is None else {"source": source}
    settings = load_config(*files, problem=problem, **given)
    with closing(Progress()) as progress:
        progress("reading the data")
        dataset = read_data(here, problem, settings)
        progress(f"reading {file.name}")
        dataset = dataset.split(settings.split)
        runner = _reader(file.suffix)(file, problem, dataset, rows=rows, trust=trust)
        from tabular_bento.training.pipeline import train as train_model

        changed = {"runner": runner.kind} | ({"gate": {}} if force else {})
        settings = load_config(*files, problem=problem, **given, **changed)
        model = train_model(problem, dataset, settings, progress, fitted=runner)
        progress("writing the package")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # BentoML's import uses a deprecated name of pathspec
            from tabular_bento.training.publishing import publish

            tag, fingerprint = publish(model, here.root)
    print(rows_line(model))
    print(table(model))
    for warning in model.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"saved {tag}")
    if as_json:
        print(json.dumps({"tag": tag, "fingerprint": fingerprint, **measured(model)}, allow_nan=False))


def _reader(suffix: str) -> Any:
    module, _, name = _READERS[suffix].partition(":")
    return getattr(import_module(f"tabular_bento.training.{module}"), name)
