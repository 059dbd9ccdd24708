"""The simulation: its candidates are as bad as they claim, and its tables say what the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.comparison.candidates import Grounds, biased, equalled, harms, losses_of
from benchmarks.comparison.command import MARKS, main, tables
from benchmarks.comparison.simulation import Sizes, Windows, run
from features.problem import PROBLEM
from tabular_bento.data.dataset import Dataset
from tabular_bento.evaluation.noninferiority import day_sums, differences, levels
from tabular_bento.monitoring.comparison.decision import Evidence
from tabular_bento.monitoring.comparison.settings import CompareSettings
from tests.conftest import train
from tests.integration.monitoring.variants import Variants
from tests.models import ROOT

SETTINGS = CompareSettings(resamples=400)
FEW = Sizes(
    windows=40,
    segment_windows=6,
    days=(35, 60),
    rows=(100, None),
    margins=(0.01, 0.02),
    least_windows=60,
    least_margins=(0.02, 0.05),
    least_seeds=(1, 2),
)


@pytest.fixture(scope="module")
def reseeded(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a model of the same settings as the session's, with another seed."""
    store = tmp_path_factory.mktemp("reseeded")
    done = train("train", "--seed", "7", "--json", store=store)
    tag = json.loads(done.stdout.splitlines()[-1])["tag"]
    return str(store / "models" / tag.replace(":", "/"))


@pytest.fixture(scope="module")
def grounds(variants: Variants, dataset: Dataset) -> Grounds:
    return Grounds.of(variants.own, variants.other, PROBLEM, dataset)


@pytest.fixture(scope="module")
def worse(variants: Variants, dataset: Dataset) -> Grounds:
    return Grounds.of(variants.own, variants.worse, PROBLEM, dataset)


def test_each_candidate_is_worse_by_the_margin_exactly(grounds: Grounds, worse: Grounds) -> None:
    found = harms(grounds, 0.01, np.random.default_rng(0), worse)
    assert len(found) == 14
    for name, errors in found.items():
        total = day_sums(losses_of(grounds.baseline), losses_of(errors), grounds.days)[1].sum(axis=0)
        metric = ("RMSE", "MAE").index(name.split()[-1])
        level = grounds.evaluator.level
        assert differences(total, level)[metric] / levels(total, level)[0, metric] == pytest.approx(0.01, rel=1e-6), (
            name
        )


def test_an_equal_candidate_is_another_model_of_the_same_rmse(grounds: Grounds) -> None:
    equal = equalled(grounds)
    assert (equal**2).mean() == pytest.approx((grounds.baseline**2).mean())
    assert np.abs(equal - grounds.baseline).mean() > 0.5


@pytest.mark.slow
def test_few_of_the_worse_and_most_of_the_equal_are_accepted(
    variants: Variants, reseeded: str, dataset: Dataset, worse: Grounds
) -> None:
    grounds = Grounds.of(variants.own, reseeded, PROBLEM, dataset)
    simulation = run(grounds, FEW, SETTINGS, worse)
    assert sum(rate.hits for rate in simulation.worse) <= 0.05 * sum(rate.windows for rate in simulation.worse)
    power = {(margin, r.days, r.rows): r.share for margin, rates in simulation.equal.items() for r in rates}
    assert power[0.01, 60, None] > 0.8
    assert power[0.01, 35, 100] < power[0.02, 60, None]
    assert power[0.02, 60, None] > 0.9
    assert max(rate.share for rate in simulation.segments if rate.name.startswith("carrier UA")) == 1.0
    text = tables(simulation, SETTINGS)
    assert text.count("### ") == 5
    least = [rate for rates in simulation.least.values() for rate in rates]
    assert {rate.days for rate in least} == {35, 56}
    assert sum(rate.hits for rate in least) <= 0.08 * sum(rate.windows for rate in least), "the worst of each seed"
    assert "| larger on the 12 worst days, RMSE |" in text


def test_a_candidate_that_sacrifices_a_segment_is_not_counted_as_accepted(grounds: Grounds) -> None:
    (victim,) = (part for part in grounds.segments if part.value == "VX")
    equal, rmse = equalled(grounds), float(np.sqrt((grounds.baseline[victim.rows] ** 2).mean()))
    windows = Windows(grounds, SETTINGS.model_copy(update={"margin": 0.05}), np.random.default_rng(0))
    for errors, accepted in ((equal, 0.8), (biased(equal, victim.rows, 0.5 * rmse), 0.0)):
        share = windows.rate("", errors, 122, None, 20, lambda decision, _: decision.verdict == "accepted").share
        assert share >= accepted if accepted else share == 0
        unworse = windows.rate("", errors, 122, None, 20, lambda _, evidence: metrics_of(evidence) == {"not_worse"})
        assert unworse.share == 1.0, "overall nobody would notice"


def metrics_of(evidence: Evidence) -> set[str]:
    return {metric.status for metric in evidence.metrics}


def test_the_page_s_claim_is_what_its_table_holds() -> None:
    page = (ROOT / "docs" / "compare.md").read_text()
    table = page.split("### Accepted, though worse")[1].split("### ")[0]
    cells = [float(cell) for cell in re.findall(r"\| ([\d.]+)%", table)]
    assert len(cells) >= 14 * 5
    assert max(cells) <= 5.0
    _, days = CompareSettings().minima
    assert f"fewer than {days} days are not judged" in page
    assert f"| what was done | {days} days |" in table


@pytest.mark.slow
def test_the_command_puts_its_tables_between_the_marks(
    variants: Variants,
    reseeded: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "benchmarks.comparison.simulation.QUICK", Sizes(5, 2, (35, 60), (None,), (0.01,), 5, (0.05,), (1,))
    )
    page = tmp_path / "page.md"
    page.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    arguments = ["--baseline", variants.own, "--candidate", reseeded, "--quick"]
    assert main([*arguments, "--out", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "\nold\n" not in text
    assert "| all errors larger, RMSE |" in text
    assert main([*arguments, "--baseline", str(tmp_path / "nowhere")]) == 3
    assert "The simulation failed" in capsys.readouterr().err
    monkeypatch.setenv("TABULAR_BENTO_COMPARE_MARGIN", "-1")
    assert main(arguments) == 2
    assert "TABULAR_BENTO_COMPARE_MARGIN: " in capsys.readouterr().err
