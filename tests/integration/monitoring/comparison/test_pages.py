"""The pages of comparisons and of skew checks in a browser: charts are drawn, nothing is fetched, no error occurs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from features.problem import PROBLEM
from tabular_bento.data.dataset import Dataset
from tabular_bento.monitoring.comparison.job import run
from tabular_bento.monitoring.skew import run as run_skew
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.traffic.schema import feature_column
from tests.browser import NAMES
from tests.integration.monitoring.comparison.conftest import NO_LATENCY
from tests.integration.monitoring.logs import JANUARY, JULY, drawn, record, rewrite, year
from tests.integration.monitoring.variants import Variants
from tests.unit import models
from training.source import Flights

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; frame-src 'self'"
)
"""What is fetched against it is an error in the console."""

_MEASURE = """<script>setTimeout(() => { document.body.dataset.width = document.documentElement.scrollWidth; },
10000)</script>"""


class Shown:
    """A page after its scripts have run in a window of a size: its document, its text, and what the console says."""

    def __init__(self, page: Path, folder: Path, width: int = 1_280, height: int = 800, dark: bool = False) -> None:
        browser = next(filter(None, map(shutil.which, NAMES)), None)
        if browser is None:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(f"there is no browser: install one of {NAMES}")
        copy = folder / f"{page.stem}-{width}-{dark}.html"
        policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        text = page.read_text().replace("<head>", f"<head>{policy}", 1)
        head, end, rest = text.rpartition("</body>")
        copy.write_text(head + _MEASURE + end + rest)
        command = [
            str(browser),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={folder / 'profile'}",
            f"--window-size={width},{height}",
            f"--blink-settings=preferredColorScheme={int(not dark)}",
            "--virtual-time-budget=30000",
            "--dump-dom",
            copy.resolve().as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=180)
        self.document = done.stdout
        self.console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        bare = re.sub(r"<(script|style)\b.*?</\1>", " ", self.document[self.document.index("<body") :], flags=re.DOTALL)
        self.bare = bare
        self.text = unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", bare)))
        measured = re.search(r'<body[^>]* data-width="(\d+)"', self.document)
        self.width = int(measured[1]) if measured else None

    @property
    def charts(self) -> list[str]:
        """What each chart that is drawn says of itself."""
        drawn = re.findall(r'<div class="[^"]*js-plotly-plot[^"]*"[^>]*aria-label="([^"]*)"', self.bare)
        assert len(drawn) == len(re.findall(r'<div class="plot(?!-)', self.bare)), "every chart is drawn"
        return [unescape(label) for label in drawn]


SIZES = pytest.mark.parametrize(("width", "height", "dark"), [(1_280, 800, False), (500, 844, True)])
"""A laptop, and the narrowest window that Chromium opens."""


@SIZES
def test_the_page_of_a_refused_candidate(
    variants: Variants, dataset: Dataset, tmp_path: Path, width: int, height: int, dark: bool
) -> None:
    result = run(
        variants.own, variants.worse, "test", "not_worse", tmp_path, NO_LATENCY, problem=PROBLEM, dataset=dataset
    )
    shown = Shown(tmp_path / "compare.html", tmp_path, width, height, dark)
    assert shown.console == []
    assert shown.width == width
    assert not re.search(r'<(?:script|img|iframe|link)[^>]+(?:src|href)="(?:https?:)?//', shown.document)
    assert [label.split()[0:3] for label in shown.charts] == [
        ["Differences", "of", "RMSE"],
        ["RMSE", "of", "both"],
        ["RMSE", "of", "the"],
        ["Predictions", "of", "the"],
        ["Differences", "of", "RMSE"],
        ["Shares", "of", "the"],
    ]
    order = ["Refused.", "Is it worse?", "Why", result.reasons[0], "Errors over time", "Who would pay for it?"]
    places = [shown.text.index(words) for words in order]
    assert places == sorted(places)
    assert "loses too much" in shown.text
    for cost in ("Time of one row", "Time of a thousand rows", "Size of the package"):
        assert cost in shown.text


def test_the_page_of_one_that_is_not_equivalent_shows_how_far_predictions_moved(
    variants: Variants, dataset: Dataset, tmp_path: Path
) -> None:
    result = run(
        variants.own, variants.near, "test", "equivalent", tmp_path, NO_LATENCY, problem=PROBLEM, dataset=dataset
    )
    shown = Shown(tmp_path / "compare.html", tmp_path)
    assert shown.console == []
    assert shown.charts[0].startswith("Shares of the predictions by how far they moved")
    assert "Not equivalent." in shown.text
    assert result.agreement is not None
    for worst in result.agreement.worst:
        assert worst.row in shown.text


@SIZES
def test_the_page_of_a_skew_check_names_the_columns_that_differ(
    package: ModelPackage, flights: Flights, tmp_path: Path, width: int, height: int, dark: bool
) -> None:
    record(tmp_path, package, drawn(flights, JANUARY, JULY, 300))
    clean = run_skew(year(tmp_path), tmp_path / "out", PROBLEM)
    shown = Shown(tmp_path / "out" / "skew.html", tmp_path, width, height, dark)
    assert (clean.verdict, shown.console, shown.width) == ("no_skew", [], width)
    assert "No skew. All 300 rows come out to the bit." in shown.text
    rewrite(tmp_path, lambda line: {**line, feature_column("pad"): None, feature_column("block"): 1.5})
    result = run_skew(year(tmp_path), tmp_path / "out", PROBLEM)
    shown = Shown(tmp_path / "out" / "skew.html", tmp_path, width, height, dark)
    assert (shown.console, shown.width) == ([], width)
    assert "Skew. 300 of 300 rows differ, in 2 columns." in shown.text
    assert shown.charts == ["Rows of which a column differs, by column"]
    for words in (*result.reasons, "pad feature 300 100.00 % - 300 0", "block feature 300 100.00 %"):
        assert words in shown.text


def test_the_page_of_a_problem_without_event_time_and_segments(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "store"))
    tags = models.store_of_two(tmp_path / "store", models.trained("parcels"))
    result = run(
        *tags, "test", "not_worse", tmp_path, NO_LATENCY, problem=models.PARCELS, dataset=models.parcels(800, seed=7)
    )
    shown = Shown(tmp_path / "compare.html", tmp_path)
    assert shown.console == []
    assert len(shown.charts) == 3, "differences, predictions, how far they moved"
    assert "Who would pay for it?" not in shown.text
    assert all(note in shown.text for note in result.notes)
