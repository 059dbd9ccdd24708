"""What speaks against a candidate, on the real predictions of two models and on altered ones."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tabular_bento.monitoring.compare.agreement import agreement, judge_equivalence
from tabular_bento.monitoring.compare.pairs import Pairs
from tabular_bento.monitoring.compare.result import Cost
from tabular_bento.monitoring.compare.ruling import Ruling
from tabular_bento.monitoring.compare.settings import CompareSettings
from tabular_bento.monitoring.compare.sums import ErrorSums
from tabular_bento.monitoring.compare.verdict import Evidence, judge_errors, judge_figures
from tests.monitoring.compare.conftest import NO_LATENCY


def altered(pairs: Pairs, candidate: np.ndarray[Any, Any]) -> Pairs:
    return Pairs(pairs.baseline, candidate, pairs.outcome, pairs.event, pairs.segments, pairs.asked)


def judged(pairs: Pairs) -> tuple[Ruling, Evidence]:
    return judge_errors(ErrorSums.of_pairs(pairs), NO_LATENCY)


def test_many_outcomes_of_few_days_are_too_few_to_tell(pairs: Pairs) -> None:
    week = pairs.event < pairs.event.min() + 7 * 86_400
    part = Pairs(
        pairs.baseline[week],
        pairs.candidate[week],
        pairs.outcome[week],
        pairs.event[week],
        {name: values[week] for name, values in pairs.segments.items()},
        {},
    )
    ruling, evidence = judged(part)
    assert ruling.verdict == "cannot_tell"
    assert "7 days" in ruling.reasons[0]
    assert evidence.metrics[0].interval is not None, "what was measured is shown all the same"


def test_a_wide_interval_cannot_tell(pairs: Pairs) -> None:
    turns = np.where(pairs.event // 86_400 % 2, 0.7, 1.3)
    known = np.where(np.isnan(pairs.outcome), pairs.baseline, pairs.outcome)
    ruling, evidence = judged(altered(pairs, known + turns * (pairs.baseline - known)))
    assert {metric.standing for metric in evidence.metrics} == {"unclear"}
    assert ruling.verdict == "cannot_tell"
    assert "too wide to tell" in ruling.reasons[0]


def test_no_carrier_can_be_sacrificed_silently(pairs: Pairs) -> None:
    theirs = pairs.segments["carrier"] == "FL"
    assert 500 < theirs.sum() < 1_000, "less than one flight in a hundred"
    ruling, evidence = judged(altered(pairs, pairs.candidate + 12.0 * theirs))
    assert {metric.standing for metric in evidence.metrics} == {"not_worse"}, "overall nobody would notice"
    assert ruling.verdict == "refused"
    assert re.match(r"carrier FL is worse on its \d+ outcomes: RMSE \+", ruling.reasons[0])
    harmed = [(part.field, part.value) for part in evidence.segments if part.standing == "harmed"]
    assert harmed == [("carrier", "FL")]


def test_a_harmed_carrier_refuses_though_overall_it_cannot_be_told(pairs: Pairs) -> None:
    turns = np.where(pairs.event // 86_400 % 2, 0.7, 1.3)
    known = np.where(np.isnan(pairs.outcome), pairs.baseline, pairs.outcome)
    candidate = known + turns * (pairs.baseline - known) + 30.0 * (pairs.segments["carrier"] == "FL")
    ruling, evidence = judged(altered(pairs, candidate))
    assert {metric.standing for metric in evidence.metrics} == {"unclear"}
    assert ruling.verdict == "refused"
    assert ruling.reasons[0].startswith("carrier FL is worse on its ")


def test_a_segment_of_few_days_is_shown_and_not_judged(pairs: Pairs) -> None:
    theirs = pairs.segments["carrier"] == "FL"
    early = pairs.event < pairs.event.min() + 10 * 86_400
    outcome = np.where(theirs & ~early, np.nan, pairs.outcome)
    part = replace(altered(pairs, pairs.candidate + 60.0 * theirs), outcome=outcome)
    ruling, evidence = judged(part)
    (found,) = (segment for segment in evidence.segments if segment.value == "FL")
    assert found.outcomes >= NO_LATENCY.min_segment_outcomes
    assert (found.days, found.standing, found.rmse.interval) == (10, "too_few", None)
    assert found.rmse.delta > 10 * found.rmse.margin
    assert not [reason for reason in ruling.reasons if "FL" in reason]


def test_a_loss_that_no_segment_shows_by_itself_refuses_by_all_of_them(pairs: Pairs) -> None:
    known = np.where(np.isnan(pairs.outcome), pairs.baseline, pairs.outcome)
    ruling, evidence = judged(altered(pairs, known + 1.02 * (pairs.baseline - known)))
    assert not [part for part in evidence.segments if part.standing == "harmed"]
    assert {metric.standing for metric in evidence.metrics} == {"worse"}
    assert [reason.split()[0] for reason in ruling.reasons] == ["RMSE", "MAE"]


def test_a_better_candidate_is_accepted(pairs: Pairs) -> None:
    known = np.where(np.isnan(pairs.outcome), pairs.candidate, pairs.outcome)
    ruling, evidence = judged(altered(pairs, 0.9 * pairs.candidate + 0.1 * known))
    assert ruling.verdict == "accepted"
    assert all(metric.delta < 0 for metric in evidence.metrics)


@pytest.mark.parametrize(
    ("cost", "refused"),
    [
        (Cost(name="one_row_microseconds", baseline=100, candidate=301, ratio=3.01, limit=3), True),
        (Cost(name="one_row_microseconds", baseline=100, candidate=300, ratio=3.0, limit=3), False),
        (Cost(name="package_bytes", baseline=100, candidate=900, ratio=9.0, limit=None), False),
    ],
)
def test_a_figure_beyond_its_limit_refuses(pairs: Pairs, cost: Cost, refused: bool) -> None:
    ruling = Ruling(unclear=["too few"])
    judge_figures(agreement(pairs, NO_LATENCY, []), [cost], NO_LATENCY, ruling)
    assert ruling.verdict == ("refused" if refused else "cannot_tell")


def test_too_many_moved_predictions_refuse_when_that_is_asked_for(pairs: Pairs) -> None:
    found = agreement(pairs, NO_LATENCY, [])
    assert found is not None
    assert 0.005 < found.moved_share < 0.05
    for limit, verdict in ((0.5, "accepted"), (0.005, "refused")):
        ruling = Ruling()
        judge_figures(found, [], CompareSettings(max_moved_share=limit), ruling)
        assert ruling.verdict == verdict


def test_one_row_beyond_tolerance_is_enough(pairs: Pairs) -> None:
    nearly = pairs.baseline + 5e-5
    nearly[3] += 0.01
    for candidate, beyond in ((pairs.baseline + 5e-5, 0), (nearly, 1)):
        found = agreement(altered(pairs, candidate), NO_LATENCY, [])
        assert found is not None
        assert (found.rows_beyond, found.rows_differing) == (beyond, len(pairs))
        assert judge_equivalence(found, len(pairs), NO_LATENCY).verdict == ("refused" if beyond else "accepted")


def test_neighbouring_numbers_are_one_unit_in_the_last_place_apart(pairs: Pairs) -> None:
    candidate = pairs.baseline.copy()
    candidate[7] = np.nextafter(candidate[7], np.inf)
    found = agreement(altered(pairs, candidate), NO_LATENCY, [])
    assert found is not None
    assert (found.rows_differing, found.largest_ulps, found.rows_beyond) == (1, 1, 0)
