"""The model card: what was trained on what, how good it is beside the baselines, where it is wrong, and its limits.

After Mitchell et al., Model Cards for Model Reporting, FAT* 2019.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.data import Dataset
from tabular_bento.evaluation.evaluators import NAIVE, Evaluator, evaluator_of, higher_is_better, metric_title
from tabular_bento.evaluation.metrics import NOT_NEGATIVE, block_bootstrap, blocks_of
from tabular_bento.evaluation.reference.profile import monitored_inputs
from tabular_bento.pages import charts, formats
from tabular_bento.pages.card import CardPage, Chart, Table, Tone
from tabular_bento.pages.missing import undeclared
from tabular_bento.scoring.package import PROFILE_FILE
from tabular_bento.traffic.schema import feature_column, input_column
from tabular_bento.training.diagnostics import charts_of
from tabular_bento.training.gate import RATIO
from tabular_bento.training.limits import limits_of
from tabular_bento.training.pipeline import TrainedModel

TEST = "test"

_IMPORTANT = 10
"""Features of the chart of importance."""

_CONFUSED = 12
"""Classes up to which a table shows the shares of the confusion matrix."""

_SEGMENTS = 7
"""Values of each segment in the chart, those of the most rows."""

_NOTHING = 1e-12
"""What rounding leaves of 0."""

_LISTED = 30
"""Values of each segment in the table."""

_USES = {
    "train": "fitting",
    "validation": "measuring, and the model of errors",
    "calibration": "the model of errors",
    TEST: "measuring, and the gate",
}


def write_card(model: TrainedModel, provenance: Mapping[str, Any], path: Path) -> None:
    """Write the card as one HTML page that needs no network.

    The importance of the features is that of the profile beside it, where there is one.

    Parameters
    ----------
    model : TrainedModel
        The model.
    provenance : mapping
        When and from what it was made, as the package has it.
    path : Path
        The file, in the folder of the package.
    """
    importance = _importance(path.with_name(PROFILE_FILE), model)
    path.write_text(card_of(model, importance, provenance).to_html(), encoding="utf-8")


def card_of(
    model: TrainedModel, importance: Mapping[str, float], provenance: Mapping[str, Any] = MappingProxyType({})
) -> CardPage:
    """All that the card shows; a failure of Evidently leaves out its part alone.

    Parameters
    ----------
    model : TrainedModel
        The model.
    importance : mapping
        Share of each feature in changing the predictions, by its name; empty where it is not known.
    provenance : mapping
        When and from what it was made; what is missing is left out.
    """
    problem, evaluator = model.problem, evaluator_of(model.problem.task)
    document = model.document()
    measured, title = document["metrics"][TEST], formats.title(evaluator.primary)
    value, ratio = measured[evaluator.primary], document[RATIO + NAIVE]
    unit = f" {problem.task.target.unit}" if evaluator.in_target_unit and problem.task.target.unit else ""
    interval = measured.get(f"{evaluator.primary}_interval")
    beside = "" if ratio is None else f", {ratio:.3f} of the naive baseline's"
    bounds = f" ({interval[0]:.4g} to {interval[1]:.4g})" if interval else ""
    missing = undeclared(problem, "training")
    segments = list(_segments(model, evaluator))
    if not importance:
        missing.append("No importance of features: it is not in the package.")
    plots = _plots(model, missing) if model.config.report else None
    test = model.parts[TEST]
    return CardPage(
        problem=problem.name,
        headline=f"{title} {value:.4g}{unit}",
        message=f"{bounds.strip()}{beside}".strip(", "),
        about=_about(model),
        tone=_tone(ratio, model.warnings),
        baselines=_baselines(evaluator, document, unit),
        predictions=charts_of(
            problem.task, model.predictions[TEST].outputs, evaluator.codes(test.target), model.config.seed
        ),
        importance=_importance_chart(importance),
        segments=_segments_chart(segments, title, unit, value),
        tables=[
            *_metrics(model, evaluator, document),
            *_confusion(document),
            *_intervals(document, model.problem.target.unit),
            *_segments_tables(segments, title),
            *_selection(model),
            _parts(model),
            _settings(model),
            *_versions(provenance),
        ],
        limits=limits_of(model, segments, importance),
        warnings=model.warnings,
        missing=missing,
        plots=plots,
        made_at=datetime.now(UTC),
    )


def _about(model: TrainedModel) -> str:
    features = len(model.problem.feature_names) - len(model.config.withheld)
    given = f"{len(model.problem.fields):,} fields" if model.predictor.takes_fields else f"{features:,} features"
    rows, test = sum(len(model.parts[name]) for name in model.fitted_on), model.parts[TEST]
    described = f" Data: {model.dataset.description}." if model.dataset.description else ""
    kind = model.predictor.runner.kind
    if model.imported is not None:
        return (
            f"{kind} on {given}, imported from {model.imported.file}, measured on the {len(test):,} rows of the test "
            f"part{_days(test)}.{described}"
        )
    return (
        f"{kind} on {given}, trained on {rows:,} rows{_days(*(model.parts[name] for name in model.fitted_on))}, "
        f"measured on the {len(test):,} rows of the test part{_days(test)}, which had no part in it.{described}"
    )


def _tone(ratio: float | None, warnings: list[str]) -> Tone:
    if ratio is not None and ratio >= 1:
        return "alarm"
    return "warning" if warnings else "neutral" if ratio is None else "good"


def _baselines(evaluator: Evaluator, document: Mapping[str, Any], unit: str) -> Chart:
    """The main metric of the model beside those of the baselines."""
    metric = evaluator.primary
    measured = {"model": document["metrics"][TEST]}
    measured |= {name.replace("_", " "): parts[TEST] for name, parts in document["baselines"].items()}
    rows = []
    for name, values in measured.items():
        low, high = values.get(f"{metric}_interval") or (None, None)
        if values[metric] is not None:
            rows.append(charts.Interval(name, values[metric], low, high, hollow=name != "model"))
    title = formats.title(metric)
    shown = ", ".join(f"{row.name} {row.value:.4g}" for row in rows)
    order = "more" if higher_is_better(metric) else "less"
    return Chart(
        f"{title} beside the baselines",
        f"{title} with 95 % intervals: {shown}",
        charts.intervals(rows, f"{title}{f', {unit.strip()}' if unit else ''}; {order} is better"),
        "95 % intervals",
    )


def _importance(profile: Path, model: TrainedModel) -> dict[str, float]:
    if not profile.is_file():
        return {}
    columns = json.loads(profile.read_text(encoding="utf-8"))["columns"]
    declaration = model.problem.declaration
    keys = {name: feature_column(name) for name in declaration.feature_names}
    keys = keys or {item.name: input_column(item.name) for item in monitored_inputs(declaration)}
    names = {name: columns.get(key, {}) for name, key in keys.items()}
    return {name: float(column["importance"]) for name, column in names.items() if "importance" in column}


def _importance_chart(importance: Mapping[str, float]) -> Chart | None:
    if not importance:
        return None
    ordered = sorted(importance.items(), key=lambda item: -item[1])
    first = ordered[:_IMPORTANT]
    rest = sum(share for _, share in ordered[_IMPORTANT:])
    more = f"; the other {len(ordered) - len(first)} make {rest:.0%}" if len(ordered) > len(first) else ""
    shown = ", ".join(f"{name} {share:.0%}" for name, share in first[:3])
    return Chart(
        "Importance of features",
        f"Share of the features in changing the predictions when they are shuffled: first {shown}",
        charts.bars([name for name, _ in first], [share for _, share in first], f"share of all{more}", percent=True),
        "how much predictions change when it is shuffled",
        height=280,
    )


def _segments(
    model: TrainedModel, evaluator: Evaluator
) -> Iterator[tuple[str, list[tuple[str, int, charts.Interval]]]]:
    """The main metric on the rows of the test part of each value of each segment, the values of the most rows first."""
    test, config = model.parts[TEST], model.config
    losses = evaluator.row_losses(model.predictions[TEST].outputs, evaluator.codes(test.target))[:, 0]
    blocks = blocks_of(model.problem.declaration, test.columns)

    def level(means: NDArray[np.float64]) -> NDArray[np.float64]:
        return evaluator.level(np.stack([means, means], axis=-1))[..., 0]

    for field in model.problem.segments:
        values = np.array([_text(value) for value in test.columns[field].tolist()], dtype=object)
        found = []
        for value, count in Counter(values.tolist()).most_common(_LISTED):
            chosen = values == value
            interval = block_bootstrap(
                losses[chosen], blocks[chosen], level, config.resamples, config.seed, NOT_NEGATIVE
            )
            measured = float(level(losses[chosen].mean()[None])[0])
            found.append((value, count, charts.Interval(value, measured, *(interval or (None, None)))))
        yield field, found


def _segments_chart(
    segments: list[tuple[str, list[tuple[str, int, charts.Interval]]]], title: str, unit: str, overall: float
) -> Chart | None:
    rows = [
        charts.Interval(f"{field} {value}", one.value, one.low, one.high)
        for field, found in segments
        for value, _, one in found[:_SEGMENTS]
    ]
    if not rows:
        return None
    worst = max(rows, key=lambda row: row.value)
    return Chart(
        f"{title} by segment",
        f"{title} of the values of the most rows; the highest is {worst.value:.4g}, of {worst.name}",
        charts.intervals(rows, f"{title}{f', {unit.strip()}' if unit else ''}; dotted: all rows", zero=overall),
        "95 % intervals; the values of the most rows",
        height=max(120 + 14 * len(rows), 280),
    )


def _segments_tables(segments: list[tuple[str, list[tuple[str, int, charts.Interval]]]], title: str) -> Iterator[Table]:
    for field, found in segments:
        rows = [
            [value, f"{count:,}", f"{one.value:.4g}", "-" if one.low is None else f"{one.low:.4g} to {one.high:.4g}"]
            for value, count, one in found
        ]
        yield Table(f"By {field}", [field, "rows", title, "95 %"], rows)


def _metrics(model: TrainedModel, evaluator: Evaluator, document: Mapping[str, Any]) -> Iterator[Table]:
    """Metrics of each evaluated part, the model's beside the baselines'."""
    for part in sorted(document["metrics"]):
        columns = {"model": document["metrics"][part]}
        columns |= {name.replace("_", " "): parts[part] for name, parts in document["baselines"].items()}
        rows = [
            [
                metric_title(name),
                *(_cell(values.get(name), values.get(f"{name}_interval")) for values in columns.values()),
            ]
            for name in evaluator.metrics
            if name != "n" and any(values.get(name) is not None for values in columns.values())
        ]
        measured = f"{columns['model']['n']:,} rows, with 95 % intervals"
        if model.first is not None and part in model.fitted_on:
            measured += "; of the first fit, which had not seen them"
        yield Table(f"Metrics of the {part} part", ["metric", *columns], rows, note=measured)


def _confusion(document: Mapping[str, Any]) -> Iterator[Table]:
    """The shares of the predicted classes in the test rows of each label, where there are not too many classes."""
    measured = document["metrics"][TEST]
    classes = measured.get("classes", ())
    if not 0 < len(classes) <= _CONFUSED:
        return
    rows = []
    for label, counts, bounds in zip(
        classes, measured["confusion_matrix"], measured["confusion_matrix_interval"], strict=True
    ):
        total = sum(counts)
        cells = [_cell(count / total if total else None, each) for count, each in zip(counts, bounds, strict=True)]
        rows.append([label, *cells, f"{total:,}"])
    note = "of the rows of each label, with 95 % intervals"
    yield Table("Predicted classes by label, test part", ["label", *classes, "rows"], rows, note=note)


def _intervals(document: Mapping[str, Any], unit: str | None) -> Iterator[Table]:
    """How often prediction intervals hold the label of the test part, in all and by month."""
    known = document.get("intervals")
    if known is None:
        return
    test = known[TEST]
    rows = [
        [
            each.get("month", "all"),
            f"{each['n']:,}",
            *(_cell(each[name], each[f"{name}_interval"]) for name in ("coverage", "mean_width")),
        ]
        for each in (test, *test.get("by_month", ()))
    ]
    width = f"mean width, {unit}" if unit else "mean width"
    note = f"to hold {known['level']:.4g} of the labels; calibrated on {known['rows']:,} rows"
    yield Table("Prediction intervals on the test part", ["month", "rows", "coverage", width], rows, note=note)


def _cell(value: float | None, interval: list[float] | None) -> str:
    if value is None:
        return "-"
    return _number(value) + (f" ({_number(interval[0])} to {_number(interval[1])})" if interval else "")


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) > _NOTHING else "0"


def _parts(model: TrainedModel) -> Table:
    """The parts of the data, and the rows that are in none."""
    labelled = int(model.dataset.labelled.sum())
    uses = _USES if model.first is None else {**_USES, "validation": f"{_USES['validation']}; then fitting again"}
    rows = [[name, f"{len(part):,}", _range(part), uses.get(name, "")] for name, part in model.parts.items()]
    others = (
        ("without a label", len(model.dataset) - labelled),
        ("in no part", labelled - sum(map(len, model.parts.values()))),
    )
    rows += [[what, f"{count:,}", "", "left out"] for what, count in others if count]
    return Table("Parts of the data", ["part", "rows", "days", "used for"], rows, 1, 2)


def _settings(model: TrainedModel) -> Table:
    config = model.config
    rows = [
        ["runner", model.kind],
        ["seed", str(config.seed)],
        ["folds", f"{model.folds}{', by month' if config.folds == 'month' else ''}"],
    ]
    if config.withheld:
        rows.append(["withheld features", ", ".join(config.withheld)])
    if model.first is not None:
        rows.append(["fitted again", "on training and validation part together, with what the first fit chose"])
    given = model.parameters | {name: f"{_short(value)}, by unseen rows" for name, value in model.chosen.items()}
    rows += [[name, f"{value}"] for name, value in given.items()]
    rows += [[f"gate: {name}", f"{limit:g}"] for name, limit in config.gate.items()]
    return Table("Settings", ["setting", "value"], rows, 2)


def _selection(model: TrainedModel) -> Iterator[Table]:
    """The runners that were compared, with `runner = "auto"`."""
    selection = model.selection
    if selection is None:
        return
    rows = [
        [
            f"{one.runner}, chosen" if one.chosen else one.runner,
            f"{one.value:.4g}",
            f"{one.difference:.3g}" if one.difference else "0",
            f"{one.standard_error:.2g}" if one.standard_error else "-",
        ]
        for one in selection.candidates
    ]
    folded = f", {selection.of_training:,} of them of the training part, out of fold" if selection.of_training else ""
    yield Table(
        "Runners compared",
        ["runner", metric_title(selection.metric), "mean loss above the best", "standard error"],
        rows,
        note=f"{selection.rows:,} rows that they had not seen{folded}; the first within a standard error is taken",
    )


def _versions(provenance: Mapping[str, Any]) -> Iterator[Table]:
    """What the model was made from and with."""
    named = {"trained": "trained_at", "data fingerprint": "data_fingerprint", "python": "python"}
    rows = [[title, str(provenance[name])] for title, name in named.items() if provenance.get(name)]
    commit = provenance.get("commit")
    if commit:
        rows.append(["commit", str(commit)])
    rows += [[name, str(version)] for name, version in provenance.get("libraries", {}).items() if version]
    if rows:
        yield Table("Versions", ["what", "version"], rows, 2)


def _plots(model: TrainedModel, missing: list[str]) -> str | None:
    """Evidently's page; where it fails, `missing` says why."""
    from tabular_bento.training import evidently

    try:
        return evidently.plot(model)
    except Exception as error:  # whatever happens there, the model and its metrics stand
        reason = (str(error).splitlines() or [""])[0]
        missing.append(f"No report of Evidently: {type(error).__name__}: {reason}.")
        return None


def _days(*parts: Dataset) -> str:
    found = _range(*parts)
    return f" from {found}" if found else ""


def _range(*parts: Dataset) -> str:
    """The first and the last day of parts; empty where their rows have none."""
    known = [days for part in parts if (days := part.event_days) is not None]
    days = np.concatenate([np.empty(0, np.int64), *known])
    if not len(days):
        return ""
    first, last = (date(1970, 1, 1) + timedelta(days=int(day)) for day in (days.min(), days.max()))
    return f"{first.day} {first:%B %Y} to {last.day} {last:%B %Y}"


def _text(value: Any) -> str:
    if value is None or value != value:
        return "missing"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else f"{value}"
