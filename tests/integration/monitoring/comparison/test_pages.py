"""The pages of comparisons and of skew checks in a browser: charts are drawn, nothing is fetched, no error occurs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from features.problem import PROBLEM
from tabular_bento.data.dataset import Dataset
from tabular_bento.monitoring.comparison.job import run
from tabular_bento.monitoring.skew import run as run_skew
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.traffic.schema import feature_column
from tests.browser import Page, browser, faults
from tests.integration.monitoring.comparison.conftest import NO_LATENCY
from tests.integration.monitoring.logs import JANUARY, JULY, drawn, record, rewrite, year
from tests.integration.monitoring.variants import Variants
from tests.unit import models
from training.source import Flights


def charts(page: Page) -> list[str]:
    """What each chart says of itself."""
    found: list[str] = page.value(
        "[...document.querySelectorAll('.js-plotly-plot')].map((one) => one.getAttribute('aria-label'))"
    )
    return found


def text(page: Page) -> str:
    """What the page shows with all of its sections open, in one line."""
    shown: str = page.value(
        "document.querySelectorAll('details').forEach((one) => { one.open = true; }), document.body.innerText"
    )
    return " ".join(shown.split())


def test_the_page_of_a_refused_candidate(variants: Variants, dataset: Dataset, tmp_path: Path) -> None:
    result = run(
        variants.own, variants.worse, "test", "not_worse", tmp_path, NO_LATENCY, problem=PROBLEM, dataset=dataset
    )
    with browser() as opened:
        assert faults(opened, tmp_path / "compare.html") == []
        page = opened.open(tmp_path / "compare.html")
        assert [label.split()[0:3] for label in charts(page)] == [
            ["Differences", "of", "RMSE"],
            ["RMSE", "of", "both"],
            ["RMSE", "of", "the"],
            ["Predictions", "of", "the"],
            ["Differences", "of", "RMSE"],
            ["Shares", "of", "the"],
        ]
        shown = text(page)
    order = ["Refused.", "Is it worse?", "Why", result.reasons[0], "Errors over time", "Who would pay for it?"]
    places = [shown.index(words) for words in order]
    assert places == sorted(places)
    assert "loses too much" in shown
    for cost in ("Time of one row", "Time of a thousand rows", "Size of the package"):
        assert cost in shown


def test_the_page_of_one_that_is_not_equivalent_shows_how_far_predictions_moved(
    variants: Variants, dataset: Dataset, tmp_path: Path
) -> None:
    result = run(
        variants.own, variants.near, "test", "equivalent", tmp_path, NO_LATENCY, problem=PROBLEM, dataset=dataset
    )
    with browser() as opened:
        assert faults(opened, tmp_path / "compare.html") == []
        page = opened.open(tmp_path / "compare.html")
        assert charts(page)[0].startswith("Shares of the predictions by how far they moved")
        shown = text(page)
    assert "Not equivalent." in shown
    assert result.agreement is not None
    for worst in result.agreement.worst:
        assert worst.row in shown


def test_the_page_of_a_skew_check_names_the_columns_that_differ(
    package: ModelPackage, flights: Flights, tmp_path: Path
) -> None:
    record(tmp_path, package, drawn(flights, JANUARY, JULY, 300))
    clean = run_skew(year(tmp_path), tmp_path / "clean", PROBLEM)
    assert clean.verdict == "no_skew"
    rewrite(tmp_path, lambda line: {**line, feature_column("pad"): None, feature_column("block"): 1.5})
    result = run_skew(year(tmp_path), tmp_path / "out", PROBLEM)
    with browser() as opened:
        assert faults(opened, tmp_path / "clean" / "skew.html") == []
        assert "No skew. All 300 rows come out to the bit." in text(opened.open(tmp_path / "clean" / "skew.html"))
        assert faults(opened, tmp_path / "out" / "skew.html") == []
        page = opened.open(tmp_path / "out" / "skew.html")
        assert charts(page) == ["Rows of which a column differs, by column"]
        shown = text(page)
    assert "Skew. 300 of 300 rows differ, in 2 columns." in shown
    for words in (*result.reasons, "pad feature 300 100.00 % - 300 0", "block feature 300 100.00 %"):
        assert words in shown


def test_the_page_of_a_problem_without_event_time_and_segments(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "store"))
    tags = models.store_of_two(tmp_path / "store", models.trained("parcels"))
    result = run(
        *tags, "test", "not_worse", tmp_path, NO_LATENCY, problem=models.PARCELS, dataset=models.parcels(800, seed=7)
    )
    with browser() as opened:
        assert faults(opened, tmp_path / "compare.html") == []
        page = opened.open(tmp_path / "compare.html")
        assert len(charts(page)) == 3, "differences, predictions, how far they moved"
        shown = text(page)
    assert "Who would pay for it?" not in shown
    assert all(note in shown for note in result.notes)
