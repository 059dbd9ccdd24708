from __future__ import annotations

import math

import numpy as np
import pytest

from tabular_bento.pages.charts import Line
from tabular_bento.pages.classification import (
    calibration_curve,
    confusion_matrix,
    precision_recall_curve,
    roc_curve,
    styled,
)
from tabular_bento.pages.drawing import STYLES
from tabular_bento.pages.histograms import histograms


def test_a_confusion_matrix_is_shaded_by_the_share_of_each_label() -> None:
    (heatmap,) = confusion_matrix([[90, 10], [1, 3]], ["no", "<b>yes"])["data"]
    assert heatmap["z"] == [[0.9, 0.1], [0.25, 0.75]]
    assert heatmap["text"] == [["90", "10"], ["1", "3"]]
    assert heatmap["customdata"][1][0] == "1 rows are &lt;b>yes and were predicted as no (25.0% of that label)"
    assert (heatmap["zmin"], heatmap["zmax"]) == (0, 1)


def test_a_label_without_rows_has_no_share() -> None:
    (heatmap,) = confusion_matrix([[0, 0], [1, 1]], ["no", "yes"])["data"]
    assert heatmap["z"][0] == [0, 0]


def test_many_classes_are_shaded_and_not_written() -> None:
    names = [f"class {i}" for i in range(30)]
    figure = confusion_matrix(np.eye(30, dtype=int).tolist(), names)
    assert "text" not in figure["data"][0]
    assert figure["layout"]["yaxis"]["ticktext"] == names


def test_curves_have_a_diagonal_where_it_means_something() -> None:
    line = Line("yes", [0.1, 0.9], [0.2, 0.8], low=[0.1, 0.7], high=[0.3, 0.9])
    calibration, roc = calibration_curve([line]), roc_curve([line])
    for figure in (calibration, roc):
        (diagonal,) = figure["layout"]["shapes"]
        assert [diagonal[end] for end in ("x0", "x1", "y0", "y1")] == [0, 1, 0, 1]
    assert calibration["data"][0]["error_y"]["array"] == pytest.approx([0.1, 0.1])
    precision = precision_recall_curve([line], 0.25)
    (level,) = precision["layout"]["shapes"]
    assert level["y0"] == level["y1"] == 0.25
    assert precision["layout"]["annotations"][0]["text"] == "share of the class 0.25"
    assert precision_recall_curve([line])["layout"]["shapes"] == []


def test_several_curves_differ_in_colour_or_dashes_and_have_a_legend() -> None:
    lines = styled([Line(f"class {i}", [0.0, 1.0], [0.0, 1.0]) for i in range(len(STYLES))])
    assert len({(line.colour, line.dash) for line in lines}) == len(STYLES)
    assert roc_curve(lines)["layout"]["showlegend"]
    assert not roc_curve(lines[:1])["layout"]["showlegend"]


def test_a_bin_that_is_too_narrow_to_be_seen_makes_all_equally_wide() -> None:
    """As of a ratio that is 4 for most rows and anything else for the others."""
    edges, counts = [2.0, 3.0, 4.0, 4.00001, 5.0, 8.0], [10, 15, 60, 10, 5]
    narrow = histograms(["2 to 3", "3 to 4", "4", "4 to 5", "5 to 8"], counts, counts, edges=edges)
    (reference, window) = narrow["data"]
    assert reference["y"] == window["y"] == [0.1, 0.15, 0.6, 0.1, 0.05]
    assert len(set(reference["x"])) == 5
    axis = narrow["layout"]["xaxis"]
    assert (axis["ticktext"], axis["tickvals"]) == (["2", "4", "5"], [-0.5, 1.5, 3.5])
    beside = histograms(["missing", "other", *"abcde"], [5, 0, *counts], [0, 0, *counts], edges=edges, aside=2)
    axis = beside["layout"]["xaxis"]
    assert (axis["ticktext"], axis["tickvals"]) == (["missing", "4", "5"], [0, 2.5, 4.5])
    wide = histograms(["a", "b", "c", "d"], [10, 20, 20, 10], [10, 20, 20, 10], edges=[0, 1, 3, 5, 6])
    assert wide["data"][0]["width"] == [1.0, 2.0, 2.0, 1.0]


def test_bars_of_days_that_are_equally_wide_name_dates() -> None:
    edges, counts = [-math.inf, 0.0, 100.0, 101.0, 365.0, 500.0], [10, 15, 60, 10, 5]
    axis = histograms(list("abcde"), counts, counts, edges=edges, dates=True)["layout"]["xaxis"]
    assert axis["ticktext"] == ["1970-01-01", "1970-04-11", "1970-04-12", "1971-01-01", "1971-05-16"]
    assert axis["tickvals"] == [0.5, 1.5, 2.5, 3.5, 4.5]


def test_a_few_rows_out_of_range_are_a_low_bar() -> None:
    bins, edges = ["missing", "out of range", "0 to 1", "1 to 2"], [0.0, 1.0, 2.0]
    for out, top in ((2, 0.1), (100, 0.525)):
        layout = histograms(bins, [0, 0, 50, 50], [0, out, 50, 50], edges=edges, aside=2)["layout"]
        assert layout["yaxis2"]["range"] == [0, pytest.approx(top)]
        assert layout["xaxis2"]["ticktext"] == ["out of range"]


def test_names_of_bars_side_by_side_are_broken_into_lines() -> None:
    """On a phone `missing` and `out of range` had run into each other."""
    bins, edges = ["missing", "out of range", "0 to 1", "1 to 2"], [0.0, 1.0, 2.0]
    layout = histograms(bins, [9, 9, 50, 50], [9, 9, 50, 50], edges=edges, aside=2)["layout"]
    assert layout["xaxis2"]["ticktext"] == ["missing", "out of<br>range"]
