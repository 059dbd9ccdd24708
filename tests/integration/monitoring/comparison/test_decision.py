"""What speaks against a candidate, on the real predictions of two models and on altered ones."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tabular_bento.monitoring.comparison.decision import (
    Evidence,
    agreement,
    judge_costs,
    judge_equivalence,
    judge_losses,
)
from tabular_bento.monitoring.comparison.predictions import LossSums, PairedPredictions
from tabular_bento.monitoring.comparison.result import Cost, Decision
from tabular_bento.monitoring.comparison.settings import CompareSettings
from tests.integration.monitoring.comparison.conftest import NO_LATENCY


def altered(paired: PairedPredictions, candidate: np.ndarray[Any, Any]) -> PairedPredictions:
    return replace(paired, candidate={"arrival_delay": candidate})


def ours(paired: PairedPredictions) -> np.ndarray[Any, Any]:
    return paired.baseline["arrival_delay"]


def theirs_of(paired: PairedPredictions) -> np.ndarray[Any, Any]:
    return paired.candidate["arrival_delay"]


def judged(paired: PairedPredictions) -> tuple[Decision, Evidence]:
    return judge_losses(LossSums.of_paired(paired), NO_LATENCY, "minutes")


def test_many_labels_of_few_days_are_too_few_to_tell(paired: PairedPredictions) -> None:
    week = paired.event < paired.event.min() + 7 * 86_400
    part = PairedPredictions(
        paired.declaration,
        {"arrival_delay": ours(paired)[week]},
        {"arrival_delay": theirs_of(paired)[week]},
        paired.labels[week],
        paired.event[week],
        {name: values[week] for name, values in paired.segments.items()},
        {},
    )
    decision, evidence = judged(part)
    assert decision.verdict == "cannot_tell"
    labels = int(np.isfinite(part.labels).sum())
    assert decision.reasons[0].startswith(f"Not enough data: {labels:,} labels over 7 days; at this spread about ")
    assert evidence.needed is not None
    assert evidence.needed.days is not None
    assert evidence.needed.days >= NO_LATENCY.minima[1]
    assert f"labels over {evidence.needed.days:,} days would decide a margin of 1 %." in decision.reasons[0]
    assert evidence.metrics[0].interval is not None, "what was measured is shown all the same"


def test_a_wide_interval_cannot_tell(paired: PairedPredictions) -> None:
    turns = np.where(paired.event // 86_400 % 2, 0.7, 1.3)
    known = np.where(np.isnan(paired.labels), ours(paired), paired.labels)
    decision, evidence = judged(altered(paired, known + turns * (ours(paired) - known)))
    assert {metric.status for metric in evidence.metrics} == {"unclear"}
    assert decision.verdict == "cannot_tell"
    assert "too wide to tell" in decision.reasons[0]
    assert decision.reasons[-1].startswith("Not enough data: ")
    assert evidence.needed is not None
    assert evidence.needed.days > 122


def test_data_that_decides_needs_no_more(paired: PairedPredictions) -> None:
    _, evidence = judged(altered(paired, ours(paired).copy()))
    assert evidence.needed is None
    few = altered(paired, ours(paired) + np.random.default_rng(0).normal(0, 2, len(paired)))
    kept = np.arange(len(paired)) % 500 == 0
    few = replace(few, labels=np.where(kept, paired.labels, np.nan))
    decision, scarce = judged(few)
    assert decision.verdict == "cannot_tell"
    assert scarce.needed is not None
    assert scarce.needed.labels > kept.sum()


def test_no_carrier_can_be_sacrificed_silently(paired: PairedPredictions) -> None:
    theirs = paired.segments["carrier"] == "FL"
    assert 500 < theirs.sum() < 1_000, "less than one flight in a hundred"
    decision, evidence = judged(altered(paired, theirs_of(paired) + 12.0 * theirs))
    assert {metric.status for metric in evidence.metrics} == {"not_worse"}, "overall nobody would notice"
    assert decision.verdict == "refused"
    assert re.match(r"carrier FL is worse on its \d+ labels: RMSE \+", decision.reasons[0])
    harmed = [(part.field, part.value) for part in evidence.segments if part.status == "harmed"]
    assert harmed == [("carrier", "FL")]


def test_a_harmed_carrier_refuses_though_overall_it_cannot_be_decided(paired: PairedPredictions) -> None:
    turns = np.where(paired.event // 86_400 % 2, 0.7, 1.3)
    known = np.where(np.isnan(paired.labels), ours(paired), paired.labels)
    candidate = known + turns * (ours(paired) - known) + 30.0 * (paired.segments["carrier"] == "FL")
    decision, evidence = judged(altered(paired, candidate))
    assert {metric.status for metric in evidence.metrics} == {"unclear"}
    assert decision.verdict == "refused"
    assert decision.reasons[0].startswith("carrier FL is worse on its ")


def test_a_segment_of_few_days_is_shown_and_not_judged(paired: PairedPredictions) -> None:
    theirs = paired.segments["carrier"] == "FL"
    early = paired.event < paired.event.min() + 10 * 86_400
    label = np.where(theirs & ~early, np.nan, paired.labels)
    part = replace(altered(paired, theirs_of(paired) + 60.0 * theirs), labels=label)
    decision, evidence = judged(part)
    (found,) = (segment for segment in evidence.segments if segment.value == "FL")
    assert found.labels >= NO_LATENCY.min_segment_labels
    assert (found.days, found.status, found.rmse.interval) == (10, "too_few", None)
    assert found.rmse.delta > 10 * found.rmse.margin
    assert not [reason for reason in decision.reasons if "FL" in reason]


def test_a_loss_that_no_segment_shows_by_itself_refuses_by_all_of_them(paired: PairedPredictions) -> None:
    known = np.where(np.isnan(paired.labels), ours(paired), paired.labels)
    decision, evidence = judged(altered(paired, known + 1.02 * (ours(paired) - known)))
    assert not [part for part in evidence.segments if part.status == "harmed"]
    assert {metric.status for metric in evidence.metrics} == {"worse"}
    assert [reason.split()[0] for reason in decision.reasons] == ["RMSE", "MAE"]


def test_a_better_candidate_is_accepted(paired: PairedPredictions) -> None:
    known = np.where(np.isnan(paired.labels), theirs_of(paired), paired.labels)
    decision, evidence = judged(altered(paired, 0.9 * theirs_of(paired) + 0.1 * known))
    assert decision.verdict == "accepted"
    assert all(metric.delta < 0 for metric in evidence.metrics)


@pytest.mark.parametrize(
    ("cost", "refused"),
    [
        (Cost(name="one_row_microseconds", baseline=100, candidate=301, ratio=3.01, limit=3), True),
        (Cost(name="one_row_microseconds", baseline=100, candidate=300, ratio=3.0, limit=3), False),
        (Cost(name="package_bytes", baseline=100, candidate=900, ratio=9.0, limit=None), False),
    ],
)
def test_a_measure_beyond_its_limit_refuses(paired: PairedPredictions, cost: Cost, refused: bool) -> None:
    decision = Decision(unclear=["too few"])
    judge_costs(agreement(paired, NO_LATENCY, []), [cost], NO_LATENCY, "minutes", decision)
    assert decision.verdict == ("refused" if refused else "cannot_tell")


def test_too_many_moved_predictions_refuse_when_that_is_asked_for(paired: PairedPredictions) -> None:
    shifted = altered(paired, theirs_of(paired) + 20.0 * (np.arange(len(paired)) % 50 == 0))
    found = agreement(shifted, NO_LATENCY, [])
    assert found is not None
    assert found.moved_share == pytest.approx(0.02, abs=1e-3)
    for limit, verdict in ((0.5, "accepted"), (0.005, "refused")):
        decision = Decision()
        judge_costs(found, [], CompareSettings(max_moved_share=limit), "minutes", decision)
        assert decision.verdict == verdict


def test_one_row_beyond_tolerance_is_enough(paired: PairedPredictions) -> None:
    nearly = ours(paired) + 5e-5
    nearly[3] += 0.01
    for candidate, beyond in ((ours(paired) + 5e-5, 0), (nearly, 1)):
        found = agreement(altered(paired, candidate), NO_LATENCY, [])
        assert found is not None
        assert (found.rows_beyond, found.rows_differing) == (beyond, len(paired))
        assert judge_equivalence(found, len(paired), NO_LATENCY, "minutes").verdict == (
            "refused" if beyond else "accepted"
        )


def test_messages_of_a_target_without_a_unit_name_none(paired: PairedPredictions) -> None:
    decision, _ = judge_losses(LossSums.of_paired(paired), NO_LATENCY, None)
    assert re.search(r"RMSE is \d+\.\d+ (higher|lower) \(99% interval", " ".join(decision.reasons))
    found = agreement(altered(paired, ours(paired) + 5e-5), NO_LATENCY, [])
    (reason,) = judge_equivalence(found, len(paired), NO_LATENCY, "").reasons
    assert f"agree within {NO_LATENCY.absolute_tolerance:g} plus " in reason


def test_neighbouring_numbers_are_one_unit_in_the_last_place_apart(paired: PairedPredictions) -> None:
    candidate = ours(paired).copy()
    candidate[7] = np.nextafter(candidate[7], np.inf)
    found = agreement(altered(paired, candidate), NO_LATENCY, [])
    assert found is not None
    assert (found.rows_differing, found.largest_ulps, found.rows_beyond) == (1, 1, 0)
