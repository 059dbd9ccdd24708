"""Drift of a problem with intervals: how often labels are inside of them, and when that alarms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tabular_bento import Regression
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.evaluation.reference.profile import profile, reference_rows
from tabular_bento.features.columns import ColumnRows
from tabular_bento.monitoring.drift.result import DriftResult, Finding
from tabular_bento.monitoring.drift.textfile import metrics
from tabular_bento.traffic.log import TrafficLog
from tests import monitored as small

VISITS = replace(small.DATED, task=Regression(small.TARGET, interval=0.9), example={})
ROWS = 2_000
HALF_WIDTH = 1.645 * 5
"""Of an interval that holds nine tenths of labels whose noise has the deviation 5."""


class Tagged:
    tag = "visits:1"


def outputs(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Predictions with their intervals."""
    predicted = small.predicted(columns)
    bounds = {"progression_lower": predicted - HALF_WIDTH, "progression_upper": predicted + HALF_WIDTH}
    return {"progression": predicted, **bounds}


@pytest.fixture(scope="module")
def reference() -> Reference:
    columns, labels = small.patients(ROWS, 1)
    given = (
        VISITS.declaration,
        small.of(VISITS, columns),
        small.features_of(VISITS, columns),
        outputs(columns),
        labels,
    )
    return Reference.of("visits:1", VISITS.declaration, profile(*given, {}, 0), reference_rows(*given))


def judged(folder: Path, reference: Reference, noise: float, days: int = 120) -> tuple[DriftResult, float]:
    """The verdict on rows whose labels are further off than those of training, and the share inside."""
    columns, labels = small.patients(ROWS, 5)
    columns["visit"] = 15_000 + np.sort(np.random.default_rng(2).integers(0, days, ROWS))
    predicted = small.predicted(columns)
    labels = predicted + noise * (labels - predicted)
    log = TrafficLog(folder, VISITS.declaration, 1 << 30, 3600.0)
    rows = ColumnRows(small.of(VISITS, columns), VISITS.field_names)
    batch = log.record(rows, Tagged(), small.features_of(VISITS, columns), outputs(columns))
    log.record_labels(list(zip(batch.column("prediction_id"), labels.tolist(), strict=True)))
    log.close()
    return small.judged(folder, reference), float((np.abs(labels - predicted) <= HALF_WIDTH).mean())


def finding(result: DriftResult, kind: str) -> Finding:
    (found,) = (one for one in result.findings if one.kind == kind)
    return found


def test_coverage_that_is_as_promised_is_reported(tmp_path: Path, reference: Reference) -> None:
    result, share = judged(tmp_path, reference, 1.0)
    known = result.labels.interval
    assert known is not None
    assert (known.level, known.n, known.coverage) == (0.9, ROWS, share)
    assert known.coverage_interval is not None
    assert known.coverage_interval[0] < share < known.coverage_interval[1]
    assert finding(result, "interval_coverage_allowed").severity == "note"
    assert "interval_coverage" not in result.decision.reasons


def test_coverage_below_the_level_alarms(tmp_path: Path, reference: Reference) -> None:
    result, share = judged(tmp_path, reference, 1.2)
    assert share < 0.87
    assert result.verdict == "drift"
    assert "interval_coverage" in result.decision.reasons
    found = finding(result, "interval_coverage")
    assert found.severity == "alarm"
    assert found.text.startswith(f"{share:.1%} (")
    assert found.text.endswith("of 2,000 labels are inside of the intervals, which are to hold 0.9 of them")
    assert found.look_at is not None
    assert f'interval_coverage_ratio{{model="visits",version="1"}} {share}' in metrics(result, 1)


def test_a_window_of_few_days_warns(tmp_path: Path, reference: Reference) -> None:
    result, _ = judged(tmp_path, reference, 1.4, days=3)
    assert finding(result, "interval_coverage").severity == "warning"
    assert "interval_coverage" not in result.decision.reasons or result.verdict == "warning"


def test_a_problem_without_intervals_has_no_coverage(tmp_path: Path) -> None:
    columns, labels = small.patients(ROWS, 5)
    small.write_log(tmp_path, small.DATED, columns, labels)
    assert small.judged(tmp_path, small.reference_of(small.DATED)).labels.interval is None
