"""`tabular-bento import`."""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from collections.abc import Sequence
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from tabular_bento.cli.common import WRONG_ARGUMENTS, Json, Settings, SourceUri, fail, project
from tabular_bento.cli.train import Progress, measured, read_data, rows_line, save, table

_PIPELINE = ("pipeline", "importing:import_pipeline")
_READERS = {
    ".keras": ("keras", "keras_files:import_keras"),
    ".skops": _PIPELINE,
    ".joblib": _PIPELINE,
    ".pkl": _PIPELINE,
    ".pickle": _PIPELINE,
}
"""By suffix the kind of the runner and the function of `tabular_bento.training` that makes one of a file.

It is called with the file, the problem and the data set, and by name `rows`, the file of sample rows or None, `trust`,
and `names`, the table's name of each field whose name is another one. What it warns of is reported.
"""


def import_model(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File of the model: .keras, .skops, .joblib or .pkl.")],
    config: Settings = None,
    source: SourceUri = None,
    rows: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Parquet file of rows like those that the model was fitted on: it gives the types of the columns.",
        ),
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Read a file that may run code while it is read, such as a pickle.")
    ] = False,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate", help="Calibrate its probabilities as the training settings say; without, they are its own."
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Save the model although the gate refuses it.")] = False,
    as_json: Json = False,
) -> None:
    """Make a package of a model that was fitted elsewhere, measured on the project's data as `train` measures one.

    A .keras file holds a network. It is read without Keras, and nothing in it is executed. Its input is the matrix of
    the project's features.

    A .skops, .joblib or .pkl file holds a fitted Pipeline, or estimator, of scikit-learn. The columns that it was
    fitted on are fields of the project; it is given a DataFrame or an array with the types that --rows shows.

    A pickle (.joblib, .pkl) runs code when it is read. It is read with --trust alone, and kept as an archive of skops.
    A .skops file with types that skops does not trust is refused with their list, unless --trust approves them.

    Exit codes: 0 saved; 1 refused by the gate; 2 wrong arguments or settings; 3 the file, the data or the model store
    cannot be used.

    Examples:
      tabular-bento import model.keras
      tabular-bento import pipeline.joblib --rows sample.parquet --trust
    """
    if file.suffix not in _READERS:
        known = ", ".join(_READERS)
        raise fail(f"{file}: models are imported from files that end in {known}.", WRONG_ARGUMENTS)
    here = project()
    problem = here.load_problem()
    from tabular_bento.scoring.store import check_writable
    from tabular_bento.training.config import load_config

    kind, reader = _READERS[file.suffix]
    files = [path for path in (here.training, config) if path is not None]
    given: dict[str, Any] = {} if source is None else {"source": source}
    changed: dict[str, Any] = {"runner": kind} | ({} if calibrate else {"calibration": "none"})
    changed |= {"gate": {}} if force else {}
    settings = load_config(*files, problem=problem, **given, **changed)
    check_writable(problem.name)
    with closing(Progress()) as progress:
        progress("reading the data")
        dataset = read_data(here, problem, settings)
        progress(f"reading {file.name}")
        dataset = dataset.split(settings.split)
        names = dict(getattr(here.load_source(), "columns", {}))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            runner = _function(reader)(file, problem, dataset, rows=rows, trust=trust, names=names)
        from tabular_bento.training.pipeline import Imported
        from tabular_bento.training.pipeline import train as train_model

        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        imported = Imported(file.name, digest, _notes(caught))
        model = train_model(problem, dataset, settings, progress, fitted=runner, imported=imported)
        progress("writing the package")
        tag, fingerprint = save(model, here.root)
    print(rows_line(model))
    print(table(model))
    for warning in model.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"saved {tag}")
    if as_json:
        print(json.dumps({"tag": tag, "fingerprint": fingerprint, **measured(model)}, allow_nan=False))


def _function(reader: str) -> Any:
    module, _, name = reader.partition(":")
    return getattr(import_module(f"tabular_bento.training.{module}"), name)


def _notes(caught: Sequence[warnings.WarningMessage]) -> tuple[str, ...]:
    """What a user is to know, once each; not what libraries say to each other."""
    said = [str(item.message) for item in caught if issubclass(item.category, UserWarning)]
    return tuple(dict.fromkeys(said))
