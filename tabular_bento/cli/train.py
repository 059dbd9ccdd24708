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

from tabular_bento.cli.common import WRONG_ARGUMENTS, Json, Settings, SourceUri, fail, on_a_terminal, project
from tabular_bento.errors import PackageError

if TYPE_CHECKING:
    from tabular_bento.data import Dataset
    from tabular_bento.problem import Problem
    from tabular_bento.project import Project
    from tabular_bento.training.config import TrainingConfig
    from tabular_bento.training.pipeline import TrainedModel
    from tabular_bento.training.repeating import PastTraining

_MOST_METRICS = 5
"""Columns of the table of metrics, so that it fits a terminal."""

_STEPS = 6


def train(
    config: Settings = None,
    source: SourceUri = None,
    runner: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Kind of model: linear, xgboost, lightgbm, sklearn, keras or auto; by default that of the settings.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Seed of the training; by default that of the settings. One seed gives one model, byte for byte.",
        ),
    ] = None,
    from_package: Annotated[
        str | None,
        typer.Option(metavar="TAG", help="Repeat the training of this model, with its settings, source and seed."),
    ] = None,
    allow_other_data: Annotated[
        bool, typer.Option("--allow-other-data", help="With --from-package, train although the data differ.")
    ] = False,
    tune: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Look for better parameters first, in N trials; those of an interrupted search count.",
        ),
    ] = None,
    tuned: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="With --tune, file for the parameters that were found; by default var/tune/tuned.toml."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a model, measure it beside its baselines, and save it into the BentoML model store if it passes the gate.

    Options come before the settings of the project's training file, which is training/config.toml as a rule. The
    model is served once it is released: `tabular-bento release latest`.

    A training that needs more memory than there is, or whose model store cannot be written, does not begin. The limit
    of memory is that of the machine or the container, or TABULAR_BENTO_MEMORY_LIMIT, such as `4 GB`.

    With --from-package the rows are compared with those that the model was trained on. Where they differ nothing is
    trained, and the differences are listed by part and by column.

    With --tune each trial draws parameters, fits the runner on the training part and measures it on rows that it has
    not seen. The project's own parameters are the first trial. The best ones are written to --tuned, and the model is
    trained with them; what they gained on the test part is printed with its interval.

    Exit codes: 0 saved; 1 refused by the gate; 2 wrong arguments or settings; 3 the data or the model store cannot be
    used, or there is too little memory.

    Examples:
      tabular-bento train
      tabular-bento train --runner linear --seed 1
      tabular-bento train --tune 50
    """
    from tabular_bento.scoring.store import check_writable

    here = project()
    problem = here.load_problem()
    past = _past_training(
        problem, from_package, {"--config": config, "--runner": runner, "--seed": seed, "--tune": tune}
    )
    if tuned is not None and tune is None:
        raise fail("--tuned is for --tune: leave it out.", WRONG_ARGUMENTS)
    settings = _settings(here, problem, past, config, {"source": source, "runner": runner, "seed": seed})
    check_writable(problem.name)
    differences: list[str] = []
    with closing(Progress()) as progress:
        progress("reading the data")
        dataset = read_data(here, problem, settings)
        if past is not None:
            differences = _compared(past, dataset, allow_other_data)
        from tabular_bento.training.pipeline import train as train_model

        search = None
        if tune is not None:
            from tabular_bento.cli.tuning import Search

            search = Search.run(here, problem, dataset, settings, tune, progress, tuned)
        model = train_model(problem, dataset, settings if search is None else search.settings, progress)
        if search is not None:
            search.measure(model, progress)
        progress("writing the package")
        tag, fingerprint = save(model, here.root)
    print(rows_line(model))
    print(table(model))
    if search is not None:
        print(search.report())
    for warning in model.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"saved {tag}")
    document = {"tag": tag, "fingerprint": fingerprint, **measured(model)}
    if search is not None:
        document["tuning"] = search.to_dict()
    if past is not None:
        document["from_package"] = _repeated(past, fingerprint, differences, past.notes(problem, here.root))
    if as_json:
        print(json.dumps(document, allow_nan=False))


def save(model: TrainedModel, folder: Path) -> tuple[str, str]:
    """Save a model of the project in a folder into the store; the tag of its package, and the fingerprint.

    Raises
    ------
    PackageError
        Where the store cannot be written.
    """
    from tabular_bento.scoring.store import store_home

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # BentoML's import uses a deprecated name of pathspec
        from tabular_bento.training.publishing import publish

        try:
            return publish(model, folder)
        except OSError as error:
            raise PackageError(f"The model cannot be saved in the store {store_home()}: {error}.") from error


def _past_training(problem: Problem, tag: str | None, given: dict[str, Any]) -> PastTraining | None:
    if tag is None:
        return None
    if names := [name for name, value in given.items() if value is not None]:
        raise fail(f"--from-package takes the settings of the model {tag}: leave {names[0]} out.", WRONG_ARGUMENTS)
    from tabular_bento.training.repeating import PastTraining

    return PastTraining.read(tag, problem)


def _settings(
    here: Project, problem: Problem, past: PastTraining | None, config: Path | None, given: dict[str, Any]
) -> TrainingConfig:
    from tabular_bento.training.config import load_config

    overrides = {name: value for name, value in given.items() if value is not None}
    if past is not None:
        return load_config(problem=problem, **{**past.config.model_dump(), **overrides})
    files = [path for path in (here.training, config) if path is not None]
    return load_config(*files, problem=problem, **overrides)


def read_data(here: Project, problem: Problem, settings: TrainingConfig) -> Dataset:
    """The data set, once it is known that there is memory for training on it."""
    from tabular_bento.training.memory import check_memory

    source = here.load_source()
    if hasattr(source, "size"):
        check_memory(problem, source.size(settings.source))
    dataset: Dataset = source.load(settings.source)
    return dataset


def _compared(past: PastTraining, dataset: Dataset, allow_other_data: bool) -> list[str]:
    """What the data have otherwise than those of the past training, where that is allowed."""
    from tabular_bento.errors import SnapshotError

    try:
        past.check_data(dataset)
    except SnapshotError as error:
        if not allow_other_data:
            raise SnapshotError(
                f"{error}\nNothing was trained. --allow-other-data trains on them as they are."
            ) from error
        print(f"warning: {error}", file=sys.stderr)
        return [line.removeprefix("- ") for line in str(error).splitlines()[1:]]
    return []


def _repeated(past: PastTraining, fingerprint: str, differences: list[str], notes: list[str]) -> dict[str, Any]:
    """Report whether it is the same model again; the same as plain JSON values."""
    same = fingerprint == past.fingerprint
    if same:
        print(f"It is {past.tag} again, byte for byte.")
    else:
        data = "other data" if differences else "the same data"
        print(f"It is another model than {past.tag}, of {data}.")
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return {"tag": past.tag, "same": same, "differences": differences, "notes": notes}


def rows_line(model: TrainedModel) -> str:
    """How many rows there were, and how many of them could not be used."""
    dataset, used = model.dataset, sum(map(len, model.parts.values()))
    without = len(dataset) - int(dataset.labelled.sum())
    lines = [f"{len(dataset):,} rows"]
    if without:
        lines.append(f"{without:,} without {dataset.problem.target.name} are left out")
    if unused := len(dataset) - without - used:
        lines.append(f"{unused:,} are in no part of the split")
    return "; ".join(lines)


class Progress:
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


def measured(model: TrainedModel) -> dict[str, Any]:
    document = model.document()
    intervals = {"intervals": document["intervals"]} if "intervals" in document else {}
    return {
        "metrics": document["metrics"],
        "baselines": document["baselines"],
        **intervals,
        "data_fingerprint": model.dataset.fingerprint,
    }


def table(model: TrainedModel) -> str:
    """Metrics of each evaluated part: the model's, then the baselines'."""
    from tabular_bento.evaluation.evaluators import evaluator_of, metric_title

    evaluator, document = evaluator_of(model.problem.task), model.document()
    primary = evaluator.primary
    known = [name for name in evaluator.metrics if name != "n" and _known(document["metrics"]["test"].get(name))]
    heads = {name: f"{_head(metric_title(name), model):>10}  " for name in known[:_MOST_METRICS]}
    lines = []
    for part, metrics in document["metrics"].items():
        rows = {"model": metrics} | {name: parts[part] for name, parts in document["baselines"].items()}
        label = f"{part}, {metrics['n']:,} rows"
        lines.append(f"{label:<26}{''.join(heads.values())}{metric_title(primary)}, 95 % interval")
        lines += [f"  {name.replace('_', ' '):<24}{_cells(values, heads, primary)}" for name, values in rows.items()]
    if known_intervals := document.get("intervals"):
        lines.append(_coverage(known_intervals, model.problem.target.unit))
    return "\n".join(lines)


def _coverage(intervals: dict[str, Any], unit: str | None) -> str:
    """The line on prediction intervals."""
    test = intervals["test"]
    ends = test["coverage_interval"]
    ranged = f" ({ends[0]:.1%} to {ends[1]:.1%})" if ends else ""
    return (
        f"intervals of {intervals['level']:.4g}: {test['coverage']:.1%}{ranged} of the test part's labels are inside; "
        f"mean width {test['mean_width']:.4g}{f' {unit}' if unit else ''}"
    )


def _head(title: str, model: TrainedModel) -> str:
    return f"within {model.config.within:g}" if title == "within" else title


def _cells(metrics: dict[str, Any], heads: dict[str, str], primary: str) -> str:
    cells = "".join(f"{_cell(name, metrics.get(name)):>{len(head) - 2}}  " for name, head in heads.items())
    interval = metrics.get(f"{primary}_interval")
    return cells + (f"{interval[0]:.4g} to {interval[1]:.4g}" if interval else "-")


def _cell(name: str, value: float | None) -> str:
    if value is None or not _known(value):
        return "-"
    return f"{value:.1%}" if name in ("within", "accuracy") else f"{value:+.4g}" if name == "bias" else f"{value:.4g}"


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
