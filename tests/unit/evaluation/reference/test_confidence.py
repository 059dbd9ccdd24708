"""Metrics of classifications estimated from probabilities, without labels."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import optimize
from threadpoolctl import threadpool_info, threadpool_limits

from tabular_bento import Binary, Field, Kind, Multiclass
from tabular_bento.evaluation.evaluators import evaluator_of
from tabular_bento.evaluation.reference.confidence import (
    LEAST_UNLIKELY,
    METRICS,
    ConfidenceModel,
    Scale,
    fit_scale,
    learn_confidence,
    losses,
)
from tabular_bento.evaluation.reference.estimate import Estimate, Withheld

TASKS: dict[int, Any] = {
    2: Binary(Field("y", Kind.INTEGER), classes=[0, 1]),
    3: Multiclass(Field("y", Kind.INTEGER), classes=[0, 1, 2]),
}
COLUMNS = {k: tuple(f"output.probability.{label}" for label in range(k)) for k in TASKS}


def drawn(k: int, n: int, rng: np.random.Generator, sharp: float = 1.0, spread: float = 1.0) -> tuple[Any, Any]:
    """Probabilities, and labels; `sharp` of 2 claims more than is known, `spread` of 2 are easier rows."""
    raw = spread * rng.normal(size=(n, TASKS[k].raw_columns))
    codes = (rng.random(n)[:, None] > TASKS[k].probabilities(raw).cumsum(axis=1)[:, :-1]).sum(axis=1)
    return TASKS[k].probabilities(sharp * raw), codes


def observed(k: int, probability: Any, codes: Any) -> dict[str, float]:
    outputs = {"y": TASKS[k].labels(TASKS[k].decide(probability)), "probability": probability}
    found = evaluator_of(TASKS[k]).measure(outputs, codes.astype(np.float64), np.arange(len(codes)), 2, 0).to_dict()
    return {name: found[name] for name in METRICS}


def learnt(k: int, probability: Any, codes: Any, days: Any = None) -> ConfidenceModel:
    entry = learn_confidence(probability, codes.astype(np.float64), days, 0.5, 0)
    return ConfidenceModel(json.loads(json.dumps(entry, allow_nan=False)), COLUMNS[k])


def _labelled(rows: tuple[Any, Any]) -> tuple[Any, Any]:
    return rows[0], rows[1].astype(np.float64)


def estimated(model: ConfidenceModel, probability: Any, days: float = 1.0) -> Estimate:
    found = model.estimate(probability, days)
    assert isinstance(found, Estimate)
    return found


@pytest.mark.parametrize("k", TASKS)
def test_costs_are_those_that_the_evaluator_measures(k: int) -> None:
    probability, codes = drawn(k, 100, np.random.default_rng(0))
    costs = losses(probability, 0.5)[:, np.arange(100), codes]
    assert dict(zip(METRICS, costs.mean(axis=1), strict=True)) == pytest.approx(observed(k, probability, codes))


@pytest.mark.parametrize("k", TASKS)
def test_a_recalibration_undoes_what_is_claimed_too_much(k: int) -> None:
    rng = np.random.default_rng(0)
    probability, codes = drawn(k, 5_000, rng, sharp=2.0)
    scale = fit_scale(probability, codes)
    assert scale.slope == pytest.approx(0.5, abs=0.08)
    assert scale.apply(probability).sum(axis=1) == pytest.approx(1.0)
    right, _ = drawn(k, 5_000, np.random.default_rng(0))
    assert np.abs(scale.apply(probability) - right).max() < 0.06


def test_few_rows_do_not_change_much() -> None:
    probability = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert fit_scale(probability, np.array([0, 1])).slope < 1.5
    assert np.isfinite(fit_scale(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, 1])).intercepts).all()
    assert Scale(1.0, (0.0, 0.0)).apply(probability) == pytest.approx(probability)


def test_a_recalibration_has_the_same_bits_with_any_number_of_threads_and_takes_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = drawn(3, 2_000, np.random.default_rng(1))
    minimize, threads = optimize.minimize, []

    def counting(*arguments: Any, **given: Any) -> Any:
        threads.extend(pool["num_threads"] for pool in threadpool_info())
        return minimize(*arguments, **given)

    monkeypatch.setattr(optimize, "minimize", counting)
    found = []
    for number in (1, 4):
        with threadpool_limits(number):
            found.append(fit_scale(*rows))
    assert found[0] == found[1]
    assert set(threads) == {1}


@pytest.mark.parametrize("sharp", [1.0, 2.0])
@pytest.mark.parametrize("k", TASKS)
def test_intervals_cover_what_is_observed_and_are_no_wider_than_need_be(k: int, sharp: float) -> None:
    rng = np.random.default_rng(k)
    covered = dict.fromkeys(METRICS, 0)
    width, labelled = dict.fromkeys(METRICS, 0.0), dict.fromkeys(METRICS, 0.0)
    trials = 60
    for _ in range(trials):
        model = learnt(k, *drawn(k, 400, rng, sharp))
        probability, codes = drawn(k, 200, rng, sharp, spread=rng.uniform(0.7, 1.5))
        estimate, truth = estimated(model, probability), observed(k, probability, codes)
        errors = losses(probability, 0.5)[:, np.arange(200), codes].std(axis=1) / np.sqrt(200)
        for name, error in zip(METRICS, errors.tolist(), strict=True):
            interval = estimate.metric_interval(name)
            assert interval is not None
            covered[name] += interval[0] <= truth[name] <= interval[1]
            width[name] += interval[1] - interval[0]
            labelled[name] += 2 * 1.645 * error
    for name in METRICS:
        assert covered[name] >= 0.85 * trials, (name, covered)
        assert width[name] <= 2 * labelled[name], name


@pytest.mark.parametrize("k", TASKS)
def test_all_windows_of_one_model_are_held_as_often(k: int) -> None:
    rng = np.random.default_rng(k)
    held = []
    for _ in range(20):
        model = learnt(k, *drawn(k, 300, rng))
        windows = [drawn(k, 400, rng) for _ in range(20)]
        inside = 0
        for probability, codes in windows:
            low, high = estimated(model, probability).log_loss_interval or (np.nan, np.nan)
            inside += low <= losses(probability, 0.5)[0, np.arange(400), codes].mean() <= high
        held.append(inside / len(windows))
    assert np.mean(np.array(held) >= 0.85) >= 0.65, "four of five are meant"


def test_it_knows_that_rows_near_the_boundary_are_harder() -> None:
    rng = np.random.default_rng(0)
    model = learnt(2, *drawn(2, 2_000, rng))
    hard, easy = (estimated(model, drawn(2, 500, rng, spread=spread)[0]) for spread in (0.3, 3.0))
    for name in ("log_loss", "brier"):
        assert (hard.metric(name) or 0) > 1.5 * (easy.metric(name) or 0)
    assert (hard.accuracy or 0) < (easy.accuracy or 0)


def test_days_in_a_row_that_resemble_each_other_make_it_less_sure() -> None:
    rng = np.random.default_rng(0)
    probability, codes = drawn(2, 12_000, rng)
    days = np.repeat(np.arange(120), 100)
    turned = rng.random(12_000) < 0.3
    scattered, weeks = (np.where(bad & turned, 1 - codes, codes) for bad in (days % 3 == 0, days // 7 % 3 == 0))
    single, runs = (learn_confidence(probability, labels.astype(float), days, 0.5, 0) for labels in (scattered, weeks))
    assert runs["days"]["log_loss"]["sd"] == pytest.approx(single["days"]["log_loss"]["sd"], rel=0.2)
    assert runs["off"]["log_loss"]["day_sd"] > 1.8 * single["off"]["log_loss"]["day_sd"]
    assert runs["days"]["log_loss"]["freedom"] < 20 < single["days"]["log_loss"]["freedom"]


def test_a_day_that_may_be_unlike_all_others_has_no_estimate() -> None:
    rng = np.random.default_rng(0)
    probability, codes = drawn(2, 12_000, rng)
    days = np.repeat(np.arange(120), 100)
    labels = np.where((days % 3 == 0) & (rng.random(12_000) < 0.3), 1 - codes, codes)
    model = learnt(2, probability, labels, days)
    assert isinstance(model.estimate(probability[:500], 14.0), Estimate)
    found = model.estimate(probability[:500], 1.0)
    assert isinstance(found, Withheld)
    assert "learnt from 12,000 rows of 120 days" in found.reason


def test_days_that_differ_make_it_less_sure() -> None:
    rng = np.random.default_rng(0)
    probability, codes = drawn(2, 6_000, rng)
    days = np.repeat(np.arange(60), 100)
    stormy = np.where((days % 5 == 0) & (rng.random(6_000) < 0.5), 1 - codes, codes)
    calm, rough = (learnt(2, probability, labels, days) for labels in (codes, stormy))
    widths = []
    for model in (calm, rough):
        day, month = (estimated(model, probability[:500], days).log_loss_interval for days in (6.0, 60.0))
        assert day is not None
        assert month is not None
        widths.append((day[1] - day[0], month[1] - month[0]))
    assert widths[1][0] > 2 * widths[0][0]
    assert widths[1][1] < widths[1][0] / 1.5


def test_a_model_that_was_hardly_ever_wrong_says_nothing_of_how_often_it_will_be() -> None:
    probability = np.tile([[0.9, 0.1], [0.1, 0.9]], (100, 1))
    codes = np.tile([0, 1], 100)
    codes[:LEAST_UNLIKELY] = 1 - codes[:LEAST_UNLIKELY]
    assert isinstance(learnt(2, probability, codes).estimate(probability, 1.0), Estimate)
    codes[0] = 1 - codes[0]
    found = learnt(2, probability, codes).estimate(probability, 1.0)
    assert isinstance(found, Withheld)
    assert "of the 200 rows" in found.reason
    assert "9 had a label that it held for unlikely, and 10 are needed" in found.reason


def test_a_window_of_many_more_rows_than_it_was_learnt_from_has_no_estimate() -> None:
    rng = np.random.default_rng(0)
    model = learnt(2, *drawn(2, 200, rng))
    probability, _ = drawn(2, 5_000, rng)
    assert isinstance(model.estimate(probability[:200], 1.0), Estimate)
    for found in (model.estimate(probability, 1.0), model.estimate(probability[:200], 1.0, rows=5_000)):
        assert isinstance(found, Withheld)
        assert "learnt from 200 rows that the model had not seen, and is of a window of 5,000 rows" in found.reason


def test_a_sample_of_a_window_says_less_of_it_than_all_rows() -> None:
    rng = np.random.default_rng(0)
    model, (probability, _) = learnt(2, *drawn(2, 4_000, rng)), drawn(2, 4_000, rng)
    widths = []
    for found in (model.estimate(probability, 1.0), model.estimate(probability[:500], 1.0, rows=4_000)):
        assert isinstance(found, Estimate)
        assert found.log_loss_interval is not None
        widths.append(found.log_loss_interval[1] - found.log_loss_interval[0])
    assert 1.0 < widths[1] / widths[0] < 2.0


def test_few_large_losses_leave_few_degrees_of_freedom() -> None:
    rng = np.random.default_rng(0)
    plain, rare = learn_confidence(*_labelled(drawn(2, 500, rng)), None, 0.5, 0), rng.random(500) < 0.03
    probability = np.tile([0.97, 0.03], (500, 1))
    heavy = learn_confidence(probability, rare.astype(np.float64), None, 0.5, 0)
    assert heavy["freedom"]["log_loss"] < 60 < plain["freedom"]["log_loss"]


def test_few_rows_and_rows_without_labels_teach_nothing() -> None:
    probability, codes = drawn(2, 60, np.random.default_rng(0))
    for gaps in (np.where(np.arange(60) < 11, np.nan, codes), np.full(60, np.nan)):
        entry = learn_confidence(probability, gaps, None, 0.5, 0)
        assert entry == {"rows": int(np.isfinite(gaps).sum())}
        found = ConfidenceModel(entry, COLUMNS[2]).estimate(probability, 1.0)
        assert isinstance(found, Withheld)
        assert f"{entry['rows']} rows with a label" in found.reason


def test_it_reads_the_probabilities_that_were_logged() -> None:
    probability, codes = drawn(3, 300, np.random.default_rng(0))
    model = learnt(3, probability, codes)
    sample = pa.table(dict(zip(COLUMNS[3], probability.T, strict=True)))
    found = model.estimate_sample(sample, None, 1.0, 100, 0)
    assert found == model.estimate(probability, 1.0)
    assert isinstance(found, Estimate)
    assert (found.rmse, found.metric("rmse"), found.metric_interval("mae")) == (None, None, None)
    assert model.estimate_sample(sample.drop_columns([COLUMNS[3][0]]), None, 1.0, 100, 0) is None
    assert model.estimate_sample(sample.slice(0, 0), None, 1.0, 100, 0) is None
