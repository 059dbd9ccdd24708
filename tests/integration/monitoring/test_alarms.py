"""The rules of data quality, bias and warnings, each on a small problem whose window has one fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tabular_bento.errors import ConfigError
from tabular_bento.evaluation.reference.calibration import error_spread
from tabular_bento.evaluation.reference.common_shift import common_shift
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.monitoring.drift.job import names_of, run
from tabular_bento.monitoring.drift.result import DriftResult
from tabular_bento.monitoring.drift.settings import ColumnSettings, DriftSettings, OutputSettings
from tabular_bento.monitoring.window.data import Query
from tests.integration.monitoring.verdicts import column, finding, kinds
from tests.monitored import ALL_TIME, DATED, PATIENTS, UNDATED_INPUTS, judged, patients, predicted, reference_of
from tests.monitored import write_log as log_rows

ROWS = 1_500
Columns = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def reference() -> Reference:
    """Of visits, with the error of rows that the model had not seen."""
    columns, labels = patients(1_000, 7)
    unseen = error_spread(predicted(columns) - labels, columns["visit"] * 86_400)
    return replace(reference_of(DATED), error={"unseen": unseen})


def _patients() -> tuple[Columns, NDArray[np.float64]]:
    return patients(ROWS, 3)


def _judged(
    directory: Path, reference: Reference, alter: Callable[[Columns], Columns] | None = None, **settings: Any
) -> DriftResult:
    columns, labels = _patients()
    log_rows(directory, DATED, columns | (alter(columns) if alter else {}), labels)
    return judged(directory, reference, DriftSettings(**settings), on="visit")


def test_unchanged_rows_are_no_drift(tmp_path: Path, reference: Reference) -> None:
    result = _judged(tmp_path, reference)
    assert (result.verdict, result.decision.reasons, result.exit_code) == ("no_drift", [], 0)
    assert result.performance_band is not None
    low, high = result.performance_band
    assert low < 5 < high
    assert sum(point.n for point in result.performance) == ROWS
    assert {"not_judged"}.isdisjoint(kinds(result))


def _without_ward_c(columns: Columns) -> Columns:
    ward = columns["ward"].copy()
    ward[ward == "C"] = "B"
    return {"ward": ward}


def _with_ward(share: float) -> Callable[[Columns], Columns]:
    def alter(columns: Columns) -> Columns:
        ward = columns["ward"].copy()
        ward[: int(share * ROWS)] = "D"
        return {"ward": ward}

    return alter


def _with_gaps(share: float) -> Callable[[Columns], Columns]:
    def alter(columns: Columns) -> Columns:
        bmi = columns["bmi"].copy()
        bmi[np.random.default_rng(0).random(ROWS) < share] = np.nan
        return {"bmi": bmi}

    return alter


def _beyond(share: float) -> Callable[[Columns], Columns]:
    def alter(columns: Columns) -> Columns:
        bmi = columns["bmi"].copy()
        bmi[:: int(1 / share)] = 90.0
        return {"bmi": bmi}

    return alter


@pytest.mark.parametrize(
    ("kind", "name", "alter", "severity"),
    [
        ("category_gone", "ward", _without_ward_c, "alarm"),
        ("new_category", "ward", _with_ward(0.03), "warning"),
        ("new_category", "ward", _with_ward(0.1), "alarm"),
        ("missing_more", "body_mass", _with_gaps(0.08), "warning"),
        ("missing_rise", "body_mass", _with_gaps(0.2), "alarm"),
        ("out_of_range", "body_mass", _beyond(0.045), "warning"),
        ("out_of_range", "body_mass", _beyond(0.1), "alarm"),
        ("unit_changed", "body_mass", lambda columns: {"bmi": columns["bmi"] * 2.2046}, "alarm"),
        ("column_constant", "age", lambda _: {"age": np.full(ROWS, 40)}, "alarm"),
    ],
)
def test_a_fault_of_one_column(
    tmp_path: Path,
    reference: Reference,
    kind: str,
    name: str,
    alter: Callable[[Columns], Columns],
    severity: str,
) -> None:
    result = _judged(tmp_path, reference, alter, far_drift=100.0)
    (found,) = (one for one in result.findings if (one.kind, one.column) == (kind, name))
    assert found.severity == severity
    assert found.look_at
    if severity == "alarm":
        assert result.verdict == "drift"
        assert kind in result.decision.reasons
    else:
        assert result.verdict in ("warning", "drift")


def test_a_warning_ends_with_0_or_as_asked(
    tmp_path: Path, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reference, "load", lambda _: reference)
    columns, labels = _patients()
    log_rows(tmp_path / "log", DATED, columns | _with_ward(0.03)(columns), labels)
    query = Query(tmp_path / "log", *ALL_TIME, on="visit")
    for asked, code in (("drift", 0), ("warning", 1)):
        done = run(query, tmp_path / asked, outputs=OutputSettings(exit_on=asked))
        assert (done.result.verdict, done.exit_code, done.result.alert.alert) == ("warning", code, False)
        assert "new_category" in done.result.decision.reasons


@pytest.mark.parametrize(("step", "severity"), [(0.0, None), (1.2, "warning"), (10.0, "alarm")])
def test_labels_that_moved(tmp_path: Path, reference: Reference, step: float, severity: str | None) -> None:
    columns, labels = _patients()
    log_rows(tmp_path, DATED, columns, labels + step)
    result = judged(tmp_path, reference, on="visit")
    found = [one.severity for one in result.findings if one.kind == "bias"]
    assert found == ([severity] if severity else [])
    if severity:
        assert result.verdict == {"alarm": "drift", "warning": "warning"}[severity]


@pytest.mark.parametrize(("step", "direction"), [(0.0, None), (2.0, "below"), (-2.0, "above")])
def test_labels_that_moved_in_all_segments(
    tmp_path: Path, reference: Reference, step: float, direction: str | None
) -> None:
    columns, labels = patients(3_000, 7)
    shift = common_shift(predicted(columns) - labels, {"ward": columns["ward"]}, columns["visit"] * 86_400, 1.0)
    known = replace(reference, error=reference.error | {"shift": shift})
    columns, labels = _patients()
    log_rows(tmp_path, DATED, columns, labels + step)
    found = [one for one in judged(tmp_path, known, on="visit").findings if one.kind == "common_shift"]
    assert [one.severity for one in found] == (["warning"] if direction else [])
    if direction:
        assert f"{direction} the labels in all segments of ward alike" in found[0].text
        assert found[0].look_at
    too_young = DriftSettings(min_labels=ROWS + 1)
    assert "common_shift" not in kinds(judged(tmp_path, known, too_young, on="visit"))


def test_a_far_column_is_a_warning_whatever_it_weighs(tmp_path: Path, reference: Reference) -> None:
    light = replace(
        reference,
        columns=tuple(
            replace(one, importance=0.001 if one.name == "age" else one.importance) for one in reference.columns
        ),
    )
    result = _judged(tmp_path, light, lambda columns: {"age": columns["age"] // 2 + 20}, strong_drift=1e6)
    assert finding(result, "far_drift").severity == "warning"


def test_limits_of_one_column(tmp_path: Path, reference: Reference) -> None:
    drifted = _judged(tmp_path, reference, _with_gaps(0.2))
    assert drifted.verdict == "drift"

    def again(**own: Any) -> DriftResult:
        settings = DriftSettings(columns={"body_mass": ColumnSettings(**own)})
        return judged(tmp_path, reference, settings, on="visit")

    tolerant = again(missing_rise=0.5, missing_notable=0.5, psi_limit=10.0)
    assert (tolerant.verdict, column(tolerant, "body_mass").threshold) == ("no_drift", 10.0)
    assert tolerant.column_settings["body_mass"]["psi_limit"] == 10.0
    ignored = again(ignore=True)
    assert (ignored.verdict, kinds(ignored, "body_mass")) == ("no_drift", set())
    assert column(ignored, "body_mass").threshold is None


def test_a_column_that_does_not_exist_is_named_with_those_that_do(reference: Reference) -> None:
    settings = DriftSettings(columns={"bodymass": ColumnSettings(ignore=True)})
    with pytest.raises(ConfigError, match=r"'bodymass', which is no column; there are: .*body_mass"):
        settings.check_columns(names_of(reference))


def test_a_package_that_is_older_than_the_rules_says_what_is_not_judged(tmp_path: Path) -> None:
    known = reference_of(DATED)
    old = replace(
        known,
        columns=tuple(
            replace(one, thresholds=replace(one.thresholds, absent_days=None, between=0.0)) for one in known.columns
        ),
    )
    result = _judged(tmp_path, old, _without_ward_c)
    said = finding(result, "not_judged")
    assert "categories that are gone" in said.text
    assert "bias" in said.text
    assert result.performance_band is None


def test_all_labels_missing(tmp_path: Path, reference: Reference) -> None:
    log_rows(tmp_path, DATED, _patients()[0])
    result = judged(tmp_path, reference, on="visit")
    assert (result.verdict, result.performance) == ("no_drift", [])
    assert finding(result, "no_labels").severity == "note"


def test_no_rows(tmp_path: Path, reference: Reference) -> None:
    result = judged(tmp_path, reference, on="visit")
    assert (result.verdict, result.exit_code) == ("not_enough_data", 2)
    assert all(one.histogram is None for one in result.columns)


def test_a_log_of_another_problem(tmp_path: Path, reference: Reference) -> None:
    columns, labels = _patients()
    log_rows(tmp_path, PATIENTS, columns, labels, tag="visits:1")
    result = judged(tmp_path, reference)
    assert (result.verdict, result.exit_code) == ("invalid_data", 2)
    assert "visit" in str(finding(result, "column_absent").text)


def test_inputs_without_times_have_the_rules_too(tmp_path: Path) -> None:
    columns, labels = patients(ROWS, 3)
    log_rows(tmp_path, UNDATED_INPUTS, columns | _without_ward_c(columns), labels)
    result = judged(tmp_path, reference_of(UNDATED_INPUTS))
    assert finding(result, "category_gone").column == "ward"
    assert result.verdict == "drift"
