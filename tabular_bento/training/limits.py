"""The limits of a model, in words: what it was not measured on, and what it is not for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from types import MappingProxyType

from tabular_bento.evaluation.evaluators import evaluator_of, metric_title
from tabular_bento.pages.charts import Interval
from tabular_bento.schema import Field, Kind
from tabular_bento.training.pipeline import TrainedModel

FEW_ROWS = 1_000
"""Rows of the test part below which its metrics are said to be uncertain."""

FEW_OF_A_CLASS = 30
"""Rows of a class in the test part below which nothing is said of that class."""

NEARLY_ALL = 0.9
"""Share of the importance from which a single feature is named."""

_SEVERAL = 3
_LISTED = 8

Segments = Sequence[tuple[str, list[tuple[str, int, Interval]]]]
"""By segment, the value, the rows and the metric of each of its values."""


def limits_of(
    model: TrainedModel, segments: Segments, importance: Mapping[str, float] = MappingProxyType({})
) -> list[str]:
    """What is to be known before a model is relied on.

    Parameters
    ----------
    model : TrainedModel
        The model.
    segments : sequence
        The main metric on the test part by value of each segment.
    importance : mapping, optional
        Share of each feature in changing the predictions, by its name.
    """
    return [
        *_measured(model),
        *_single(importance),
        *_segments(model, segments),
        *_inputs(model),
        *_scores(model),
    ]


def _measured(model: TrainedModel) -> Iterator[str]:
    train, test = model.parts["train"], model.parts["test"]
    if model.imported is not None:
        yield (
            f"It was imported from {model.imported.file}: which rows it was fitted on is not known, and where rows of "
            "the test part are among them its metrics are better than they would be on others."
        )
    if model.first is not None:
        yield (
            "It was fitted again on training and validation part: the metrics of the validation part and the estimates "
            "without labels are of the first fit, on the training part alone, and somewhat worse than its own would be."
        )
    days = test.event_days
    if days is not None and len(days):
        last = date(1970, 1, 1) + timedelta(days=int(days.max()))
        yield f"It was measured on days up to {last.day} {last:%B %Y}; the drift report says how it does on later ones."
    else:
        yield "Its test part is drawn from the same rows as its training part: nothing shows how it does later on."
    if len(test) < FEW_ROWS:
        yield f"Its metrics are of {len(test):,} rows; their intervals say how uncertain that makes them."
    withheld = model.config.withheld
    if withheld:
        yield f"It was not shown {', '.join(withheld)}."
    if missing := len(model.dataset) - int(model.dataset.labelled.sum()):
        share = missing / len(model.dataset)
        yield f"{missing:,} rows ({share:.1%}) had no label and had no part in it; rows like them were not measured."
    known = model.problem.task.class_names
    if known:
        codes = evaluator_of(model.problem.task).codes
        learnt, seen = codes(train.target), codes(test.target)
        rare = [name for code, name in enumerate(known) if (seen == code).sum() < FEW_OF_A_CLASS]
        if rare:
            listed = ", ".join(rare[:_LISTED]) + (f" and {len(rare) - _LISTED} more" if len(rare) > _LISTED else "")
            yield f"The test part has fewer than {FEW_OF_A_CLASS} rows of {listed}: little is known of them."
        shares = [float((learnt == code).mean()) for code in range(len(known))]
        if model.config.class_weight is not None and model.config.calibration == "none":
            yield "Classes were weighted and probabilities not calibrated: they are scores, not shares."
        elif model.config.calibration == "none" and min(shares) < 0.05:
            yield "Probabilities are not calibrated on rows of their own; the chart of calibration shows how far off."


def _single(importance: Mapping[str, float]) -> Iterator[str]:
    """Whether nearly all is of one feature, as it is where one knows the label."""
    name, share = max(importance.items(), key=lambda item: item[1], default=("", 0.0))
    if len(importance) >= _SEVERAL and share >= NEARLY_ALL:
        yield f"{name} makes {share:.0%} of the importance: its metrics hold only if that is known before the label is."


def _segments(model: TrainedModel, segments: Segments) -> Iterator[str]:
    title = metric_title(evaluator_of(model.problem.task).primary)
    for field, found in segments:
        judged = [one for one in found if one[2].low is not None]
        if len(judged) < 2:
            continue
        value, count, worst = max(judged, key=lambda one: one[2].value)
        best = min(judged, key=lambda one: one[2].value)
        if worst.low is not None and best[2].high is not None and worst.low > best[2].high:
            yield (
                f"By {field} it is worst for {value}: {title} {worst.value:.4g} on {count:,} rows, where for {best[0]} "
                f"it is {best[2].value:.4g}."
            )


def _inputs(model: TrainedModel) -> Iterator[str]:
    fields = model.problem.fields
    bounded = [field for field in fields if field.minimum is not None or field.maximum is not None]
    if bounded:
        listed = ", ".join(_range(field) for field in bounded[:_LISTED])
        more = f" and {len(bounded) - _LISTED} more" if len(bounded) > _LISTED else ""
        yield f"Requests with values out of range are refused: {listed}{more}."
    if any(field.kind is Kind.TEXT for field in fields):
        yield "A text that the training part did not have counts as unknown, the same for all such texts."


def _range(field: Field) -> str:
    unit = f" {field.unit}" if field.unit else ""
    if field.minimum is None:
        return f"{field.name} up to {field.maximum:g}{unit}"
    if field.maximum is None:
        return f"{field.name} from {field.minimum:g}{unit}"
    return f"{field.name} from {field.minimum:g} to {field.maximum:g}{unit}"


def _scores(model: TrainedModel) -> Iterator[str]:
    runner = model.predictor.runner
    if runner.tolerance > 0:
        yield f"Scores may differ between processors by {runner.tolerance:g} of their size."
    batches = model.predictor.batches
    if batches is not None and batches.allowed:
        yield f"A row's score in a batch may differ from that alone by {batches.tolerance:g} of its size."
    if not runner.explains:
        yield f"The runner {runner.kind} gives no explanations of its predictions."
