"""An imported Pipeline passes the checks of a runner that was fitted elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tabular_bento.features.columns import arrays_of
from tabular_bento.testing import check_fitted_runner
from tests.unit.training.test_importing import COST, LATE, USED, dataset, files, imported, problem_of

__all__ = ["files"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "task"), [("boosted.skops", LATE), ("ridge.skops", COST)])
def test_it_passes_the_checks_of_a_fitted_runner(files: Path, name: str, task: object) -> None:
    problem = problem_of(task, *USED)
    runner = imported(files, name, problem)
    columns = arrays_of(dataset(files, problem).columns, problem.fields)
    check_fitted_runner(runner, {name: values[:12] for name, values in columns.items()}, problem.task)
