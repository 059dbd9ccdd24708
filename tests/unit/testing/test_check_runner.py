"""Every built-in runner that is fitted on the matrix passes the checks of runners."""

from __future__ import annotations

from typing import Any

import pytest

from tabular_bento.scoring.runners import BUILT_IN, runner_class
from tabular_bento.tasks import Task
from tabular_bento.testing import check_runner
from tabular_bento.testing.made_up import TASKS

QUICK: dict[str, dict[str, Any]] = {
    "xgboost": {"rounds": 8, "learning_rate": 0.3, "min_child_weight": 1.0},
    "linear": {"alpha": 1.0},
    "lightgbm": {"rounds": 15, "learning_rate": 0.3},
    "sklearn": {"max_iter": 4, "learning_rate": 0.5},
}
"""Parameters by kind with which it is quickly fitted."""

ELSEWHERE = {"pipeline", "keras"}
"""Kinds whose own tests call the checks: their fit takes seconds, or they are imported instead of fitted."""


def test_every_kind_is_checked() -> None:
    assert set(BUILT_IN) - ELSEWHERE == set(QUICK)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
@pytest.mark.parametrize("kind", QUICK)
def test_a_built_in_runner_passes_every_check(kind: str, task: Task) -> None:
    runner = runner_class(kind)
    check_runner(runner, runner.Parameters(**QUICK[kind]), [task])


@pytest.mark.parametrize("kind", ["xgboost", "linear", "lightgbm"])
def test_it_passes_where_it_chooses_by_the_validation_part(kind: str) -> None:
    runner = runner_class(kind)
    parameters = runner.Parameters()
    assert parameters.needs_validation
    check_runner(runner, parameters, TASKS[1:2])
