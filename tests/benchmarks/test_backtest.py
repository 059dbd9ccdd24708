"""What the drift job claims of itself: few false alarms, no fault slept through, and July unlike the spring."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from benchmarks.backtest.command import main
from benchmarks.backtest.job import STALE, BackTest, Chapter, Grounds, Sizes, run
from benchmarks.backtest.shifts import SHIFTS
from benchmarks.backtest.tables import BEGIN, END, tables, write
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.scoring.package import ModelPackage

pytestmark = pytest.mark.slow

SEED = 20130101
SIZES = Sizes(rows=(1_000, 5_000, 50_000), splits=10, weeks=26, shifted_rows=(5_000,), draws=2)


@pytest.fixture(scope="module")
def grounds(package: ModelPackage) -> Grounds:
    return Grounds.of(package.tag, package.directory, DriftSettings())


@pytest.fixture(scope="module")
def measured(grounds: Grounds) -> BackTest:
    return run(grounds, SIZES, SEED)


def month(measured: BackTest, name: str) -> Chapter:
    return next(chapter for chapter in measured.story if (chapter.name, chapter.kind) == (name, "month"))


def test_the_same_rows_and_seed_give_the_same_profile(grounds: Grounds, package: ModelPackage) -> None:
    stored = package.profile
    arrived = grounds.train.where(grounds.train.data.labelled)
    weights = {
        name.partition(".")[2]: column["importance"]
        for name, column in stored["columns"].items()
        if "importance" in column
    }
    made = arrived.profile(weights, package.provenance["config"]["seed"])
    mine, theirs = made.pop("calibration"), dict(stored["calibration"])
    assert made == {name: part for name, part in stored.items() if name in made}
    columns, known = mine.pop("columns"), theirs.pop("columns")
    assert mine == theirs
    for name, before in known.items():  # the package is older than `between` and its like, and than SciPy's quantiles
        now = {key: columns[name][key] for key in before}
        assert now.pop("chance") == pytest.approx(before["chance"], rel=0.1), name
        assert now == {key: value for key, value in before.items() if key != "chance"}, name


def test_random_windows_hardly_ever_alarm(measured: BackTest) -> None:
    assert [rate.rows for rate in measured.splits] == list(SIZES.rows)
    assert sum(rate.alarms for rate in measured.splits) == 0, measured.splits


def test_at_most_one_week_of_training_alarms(measured: BackTest) -> None:
    assert (measured.weeks.windows, measured.left_out.windows) == (26, 26)
    assert measured.weeks.alarms <= 1, measured.weeks
    assert measured.left_out.alarms <= 1, measured.left_out


def test_every_fault_is_found_in_5000_rows(measured: BackTest) -> None:
    assert {rate.name for rate in measured.power} == {*(shift.name for shift in SHIFTS), STALE}
    assert [rate for rate in measured.power if rate.alarms < rate.windows] == []


def test_an_outlier_beside_a_fault_hides_nothing(measured: BackTest) -> None:
    plain, beside = (
        next(rate for rate in measured.power if rate.name == name)
        for name in ("temp 15 F higher", "temp 15 F higher, and one 1e9")
    )
    assert plain.reasons == beside.reasons


@pytest.mark.parametrize(
    ("name", "reason"), [("2013-07", "share_of_features"), ("2013-08", "share_of_features"), ("2013-09", "prediction")]
)
def test_the_summer_is_drift(measured: BackTest, name: str, reason: str) -> None:
    result = month(measured, name).result
    assert result.verdict == "drift"
    assert any(one.startswith(reason) for one in result.decision.reasons)


def test_six_thousand_flights_of_july_to_september_are_drift(grounds: Grounds) -> None:
    quarter = grounds.later.between(datetime(2013, 7, 1), datetime(2013, 10, 1))
    for seed in range(3):
        drawn = quarter.where(np.random.default_rng(seed).choice(len(quarter), 6_000, replace=False))
        result = grounds.judge(drawn)
        assert (result.verdict, result.exit_code) == ("drift", 1)
        assert {"share_of_features", "strong_drift"} <= set(result.decision.reasons)


@pytest.mark.parametrize(("days", "rows"), [(1, 500), (7, 1_000), (30, 5_000)])
def test_samples_of_contiguous_windows_hardly_ever_alarm(grounds: Grounds, days: int, rows: int) -> None:
    rng, alarms = np.random.default_rng(SEED), []
    for start in range(0, 181 - days, days):
        first = datetime(2013, 1, 1) + timedelta(days=start)
        window = grounds.train.between(first, first + timedelta(days=days))
        if len(window) > rows:
            window = window.where(rng.choice(len(window), rows, replace=False))
        alarms.append(grounds.judge(window).verdict == "drift")
    assert sum(alarms) <= len(alarms) / 26, f"{sum(alarms)} of {len(alarms)}"


def test_one_strong_column_of_little_weight_is_not_voted_down(grounds: Grounds) -> None:
    rng = np.random.default_rng(SEED)
    window = grounds.train.where(rng.choice(len(grounds.train), 5_000, replace=False))
    fault = next(shift for shift in SHIFTS if shift.field == "precip")
    result = grounds.judge(fault.apply(window, grounds.predictor, rng))
    assert result.decision.reasons == ["strong_drift", "unit_changed"]
    assert result.decision.features_drifted == 1
    assert (result.decision.drifted_share or 0) < result.decision.max_drifted_share
    finding = next(one for one in result.findings if one.kind == "strong_drift")
    assert finding.text.startswith("precip is at ")
    unmoved = DriftSettings(strong_drift=1e6)
    others = replace(grounds, settings=unmoved)
    assert others.judge(fault.apply(window, grounds.predictor, rng)).decision.reasons == ["unit_changed"]


def test_the_error_of_a_day_is_judged_by_the_days_of_training(grounds: Grounds) -> None:
    limits = [grounds.reference.usual_ratio(days) for days in (1, 7, 181)]
    assert limits == sorted(limits, reverse=True)
    assert limits[0] > DriftSettings().max_error_ratio > limits[1]


def test_a_morning_is_not_enough(grounds: Grounds) -> None:
    morning = grounds.later.between(datetime(2013, 7, 10, 5), datetime(2013, 7, 10, 15))
    result = grounds.judge(morning)
    assert len(morning) > 500
    assert (result.verdict, result.decision.reasons) == ("not_enough_data", ["few_hours"])


def test_fewer_rows_than_calibrated_are_never_drift(grounds: Grounds) -> None:
    july = grounds.later.between(datetime(2013, 7, 1), datetime(2013, 8, 1))
    few = july.where(np.arange(0, len(july), len(july) // 400)[:400])
    settings = DriftSettings(min_rows=1)
    lenient = replace(grounds, settings=settings)
    assert lenient.judge(few).verdict == "not_enough_data"


def test_tables_go_between_the_marks(measured: BackTest, tmp_path: Path) -> None:
    page = tmp_path / "drift.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(page, tables(measured))
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert "| 2013-07 |" in text
    assert f"| {STALE} | 2 of 2 |" in text
    page.write_text("no marks")
    with pytest.raises(ValueError, match="has no lines"):
        write(page, "")


def test_command(package: ModelPackage, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "new.md"
    assert main(["--quick", "--model", package.tag, "--out", str(page)]) == 0
    printed = capsys.readouterr().out
    assert printed.strip() in page.read_text()
    assert "### False alarms" in printed
    assert main(["--model", "flights:nobody"]) == 3
    assert "flights:nobody" in capsys.readouterr().err
