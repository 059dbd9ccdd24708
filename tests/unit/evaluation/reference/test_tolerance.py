"""How far an estimate may be off, beside what labels would leave open."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tabular_bento.evaluation.reference.thresholds import Spread
from tabular_bento.evaluation.reference.tolerance import (
    CONFIDENCE,
    COVERAGE,
    FEWEST_DAYS,
    Tolerance,
    Window,
    learn_tolerances,
)

ROWS = Tolerance(Spread(0.0, 0.3, 0.0, 200, 0), 1e9, 0.0, 1)
DAYS = Tolerance(Spread(0.0, 0.3, 0.1, 6_000, 60), 1e9, 0.1, 1e9)


def test_it_adds_the_chance_of_the_window_and_of_what_it_was_learnt_from() -> None:
    reach, of_labels = ROWS.reach(1.0, 0.0, Window(100, 100, 1.0))
    windows, models = (stats.norm.ppf(share) for share in ((1 + COVERAGE) / 2, CONFIDENCE))
    assert reach == pytest.approx(0.3 * (windows / 100**0.5 + models / 200**0.5), rel=1e-4)
    assert of_labels == pytest.approx(0.3 / 100**0.5 * stats.t.ppf(0.975, 99))


def test_a_share_of_rows_reaches_half_a_step_of_window_and_learnt_rows_further() -> None:
    window = Window(100, 100, 1.0)
    plain, stepped = (ROWS.reach(1.0, 0.0, window, in_steps=steps)[0] for steps in (False, True))
    assert stepped - plain == pytest.approx((1 / 100 + 1 / 200) / 2)


def test_few_days_leave_labels_as_open_as_students_t_of_the_days() -> None:
    error = (0.3**2 / 700 + 0.1**2 / 7) ** 0.5
    assert DAYS.reach(1.0, 0.0, Window(700, 700, 7.0))[1] == pytest.approx(error * stats.t.ppf(0.975, 6))
    fewer = FEWEST_DAYS - 1
    by_hours = DAYS.reach(1.0, 0.0, Window(700, 700, float(fewer)))[1]
    assert by_hours == pytest.approx(0.3 / 700**0.5 * stats.t.ppf(0.975, 699))


def test_one_row_leaves_labels_open_and_is_no_error() -> None:
    assert np.isfinite(ROWS.reach(1.0, 0.0, Window(1, 1, 1.0))).all()


def test_parts_of_an_entry_are_read_and_those_of_an_older_package_too() -> None:
    residual = np.random.default_rng(0).normal(size=500)
    entry = learn_tolerances({"brier": residual}, np.repeat(np.arange(50), 10), {"brier": 2.0})
    found = Tolerance.read(entry, "brier")
    assert (found.off.row_sd, found.off.rows, found.off.days) == (2.0, 500, 50)
    assert found.freedom == entry["freedom"]["brier"]
    older = Tolerance.read({"off": entry["off"]}, "brier")
    assert (older.freedom, older.day_freedom, older.day_sd) == (499, 49, found.off.day_sd)
