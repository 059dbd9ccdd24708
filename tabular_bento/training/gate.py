"""The gate: a model that is not good enough is not saved, and one that is too good is looked at.

Limits are named by metric: `max_rmse` and `min_r2` must hold; `warn_max_r2` and `warn_min_mae` give warnings. A ratio
to a baseline is a metric too: `max_ratio_to_naive_baseline` is the primary metric, RMSE or log loss, over that of the
naive baseline.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tabular_bento.errors import ConfigError, GateError
from tabular_bento.evaluation.evaluators import evaluator_of, higher_is_better, metric_title
from tabular_bento.tasks import Task

RATIO = "ratio_to_"


class Limit(NamedTuple):
    """What the name of a threshold means."""

    metric: str
    most: bool
    warns: bool


def limit_of(name: str) -> Limit:
    """The limit that a threshold of the table `gate` is.

    Raises
    ------
    ValueError
        Where the name is none.
    """
    rest = name.removeprefix("warn_")
    side, _, metric = rest.partition("_")
    if side not in ("max", "min") or not metric:
        raise ValueError(
            f"{name!r} is no threshold: name it max_METRIC, min_METRIC, warn_max_METRIC or warn_min_METRIC"
        )
    return Limit(metric, side == "max", rest != name)


def check_names(thresholds: Mapping[str, float], task: Task, baselines: tuple[str, ...]) -> None:
    """Compare the names of thresholds with the metrics that a task is measured by.

    Raises
    ------
    ConfigError
        For a metric that there is not.
    """
    known = [*evaluator_of(task).metrics]
    known += [RATIO + name for name in baselines]
    for name in thresholds:
        metric = limit_of(name).metric
        if metric not in known:
            raise ConfigError(f"gate.{name}: there is no metric {metric!r}; there are {', '.join(known)}")


def check_gate(measured: Mapping[str, Any], ratios: Mapping[str, float], thresholds: Mapping[str, float]) -> list[str]:
    """Warnings about a model that passes.

    Parameters
    ----------
    measured : mapping
        Its metrics on the test part.
    ratios : mapping
        Its primary metric over that of each baseline, by name of the baseline.
    thresholds : mapping
        The table `gate` of the configuration.

    Raises
    ------
    GateError
        That lists every threshold it misses.
    """
    values = {**measured, **{RATIO + name: ratio for name, ratio in ratios.items()}}
    missed, warnings = [], []
    for name, threshold in thresholds.items():
        limit = limit_of(name)
        value = values[limit.metric]
        value = float("nan") if value is None else float(value)
        if value <= threshold if limit.most else value >= threshold:
            continue
        message = f"{_shown(limit.metric)} {value:.3f} is {'above' if limit.most else 'below'} {threshold:g}"
        if limit.warns:
            hint = ": look for a feature that knows the label" if limit.most == higher_is_better(limit.metric) else ""
            warnings.append(f"{message}{hint}.")
        else:
            missed.append(message)
    if missed:
        raise GateError(f"The model is not saved: on the test part {'; '.join(missed)}. Thresholds are in [gate].")
    return warnings


def _shown(metric: str) -> str:
    if metric.startswith(RATIO):
        return f"the ratio to the {metric.removeprefix(RATIO).replace('_', ' ')}"
    return metric_title(metric)
