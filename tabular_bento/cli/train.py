"""`tabular-bento train`."""

from __future__ import annotations

import json
import math
import sys
import warnings
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tabular_bento.cli.common import Json, on_a_terminal, project

if TYPE_CHECKING:
    from tabular_bento.training.pipeline import TrainedModel

_STEPS = 6


def train(
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Settings in TOML, before those of the project's file."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(metavar="URI", help="What the project's source reads: a folder or file, s3://..., gs://..."),
    ] = None,
    runner: Annotated[str | None, typer.Option(metavar="KIND", help="The kind of model, such as xgboost.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="The same seed, data and machine give the same model, byte for byte.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a model, measure it beside its baselines, and save it into the BentoML model store if it passes the gate.

    The settings are those of the project's training file, which pyproject.toml names under [tool.tabular-bento];
    options come before them. The model serves once it is released: `tabular-bento release latest`.

    Exit codes: 0 saved; 1 refused by the gate; 2 the settings or the arguments are wrong; 3 the data or the store is.
    """
    from tabular_bento.training.config import load_config
    from tabular_bento.training.pipeline import train as train_model

    here = project()
    problem = here.load_problem()
    given = {"source": source, "runner": runner, "seed": seed}
    overrides = {name: value for name, value in given.items() if value is not None}
    files = [path for path in (here.training, config) if path is not None]
    settings = load_config(*files, problem=problem, **overrides)
    with closing(_Progress()) as progress:
        progress("reading the data")
        dataset = here.load_source().load(settings.source)
        model = train_model(problem, dataset, settings, progress)
        progress("writing the package")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # BentoML's import uses a deprecated name of pathspec
            from tabular_bento.training.publishing import publish

            tag, fingerprint = publish(model, here.root)
    print(_table(model))
    for warning in model.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"saved {tag}")
    if as_json:
        print(json.dumps({"tag": tag, "fingerprint": fingerprint, **_measured(model)}, allow_nan=False))


class _Progress:
    """A bar on a terminal, nothing elsewhere."""

    def __init__(self) -> None:
        self._bar: Any = None
        if on_a_terminal():
            from tqdm import tqdm

            self._bar = tqdm(total=_STEPS, desc="training", bar_format="{desc:<40} {bar} {elapsed}")

    def __call__(self, what: str) -> None:
        if self._bar is not None:
            self._bar.set_description(what)
            self._bar.update()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _measured(model: TrainedModel) -> dict[str, Any]:
    document = model.document()
    return {
        "metrics": document["metrics"],
        "baselines": document["baselines"],
        "data_fingerprint": model.dataset.fingerprint,
    }


def _table(model: TrainedModel) -> str:
    """Metrics of each evaluated part: the model's, then the baselines'."""
    document = model.document()
    shown = [name for name in ("rmse", "mae", "r2", "bias", "within") if _known(document["metrics"]["test"].get(name))]
    lines = []
    for part, metrics in document["metrics"].items():
        rows = {"model": metrics} | {name: parts[part] for name, parts in document["baselines"].items()}
        label = f"{part}, {metrics['n']:,} rows"
        heads = "".join(f"{_head(name, model):>12}" for name in shown)
        lines.append(f"{label:<28}{heads}  RMSE, 95 % interval")
        lines += [f"  {name.replace('_', ' '):<26}{_cells(values, shown)}" for name, values in rows.items()]
    return "\n".join(lines)


def _head(name: str, model: TrainedModel) -> str:
    if name == "within":
        return f"within {model.config.within:g}"
    return name.upper() if name in ("rmse", "mae", "r2") else name


def _cells(metrics: dict[str, Any], shown: list[str]) -> str:
    cells = "".join(f"{_cell(name, metrics.get(name)):>12}" for name in shown)
    interval = metrics.get("rmse_interval")
    return cells + (f"  {interval[0]:.4g} to {interval[1]:.4g}" if interval else "  -")


def _cell(name: str, value: float | None) -> str:
    if not _known(value):
        return "-"
    return f"{value:.1%}" if name == "within" else f"{value:+.4g}" if name == "bias" else f"{value:.4g}"


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
