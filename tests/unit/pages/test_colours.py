"""Colours of charts: of the style's variables, and apart for who sees colours otherwise."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tabular_bento.pages import charts, classification, histograms
from tabular_bento.pages.drawing import STYLES
from tests.models import ROOT

STYLE = (ROOT / "tabular_bento" / "pages" / "templates" / "style.css").read_text()
SCHEMES = {
    "light": STYLE[: STYLE.index("@media (prefers-color-scheme: dark)")],
    "dark": STYLE[STYLE.index("@media (prefers-color-scheme: dark)") : STYLE.index("* { box-sizing")],
}

OKABE_ITO = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#000000")
"""Okabe and Ito, Color Universal Design, 2008."""

VISION = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
"""Machado, Oliveira and Fernandes, A Physiologically-based Model for Simulation of Color Vision Deficiency, 2009."""

APART = 15.0
"""Distance in CIE 1976 L*a*b* of two colours that lines are distinguished by; about 2.3 is just noticeable."""

LINES = tuple(dict.fromkeys(colour[4:-1] for colour, _ in STYLES))


def colour_of(scheme: str, name: str) -> NDArray[np.float64]:
    """A variable of the style as linear RGB."""
    found = re.search(rf"{name}: #([0-9a-f]{{6}})", SCHEMES[scheme])
    assert found, (scheme, name)
    values = np.array([int(found[1][i : i + 2], 16) for i in (0, 2, 4)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear RGB as CIE 1976 L*a*b* with the white of D65."""
    matrix = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    x, y, z = matrix @ np.clip(linear, 0, 1) / (0.95047, 1.0, 1.08883)
    f = [one ** (1 / 3) if one > 216 / 24389 else (24389 / 27 * one + 16) / 116 for one in (x, y, z)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def hue(linear: NDArray[np.float64]) -> float:
    _, a, b = lab(linear)
    return float(np.degrees(np.arctan2(b, a)))


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_lines_are_distinguished(scheme: str, vision: str) -> None:
    seen = {name: lab(VISION[vision] @ colour_of(scheme, name)) for name in LINES}
    for first, second in combinations(seen, 2):
        distance = float(np.linalg.norm(seen[first] - seen[second]))
        assert distance >= APART, f"{first} and {second} with {vision}: {distance:.1f}"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_their_hues_are_of_the_palette(scheme: str) -> None:
    """A colour may be darker or lighter than the palette's, so that it has contrast; the reference is grey."""
    values = [np.array([int(one[i : i + 2], 16) for i in (1, 3, 5)]) / 255 for one in OKABE_ITO[:-1]]
    palette = [hue(np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)) for v in values]
    for name in (*LINES, "--limit"):
        colour = colour_of(scheme, name)
        _, a, b = lab(colour)
        apart = min(abs((hue(colour) - known + 180) % 360 - 180) for known in palette)
        assert np.hypot(a, b) < 12 or apart < 12, (name, apart)


def colours(value: Any) -> set[str]:
    """All colours that a figure names."""
    if isinstance(value, dict):
        named = {str(one) for key, one in value.items() if key in ("color", "fillcolor") and isinstance(one, str)}
        return named.union(*(colours(one) for one in value.values()))
    if isinstance(value, list):
        return {one for one in value if isinstance(one, str) and re.match(r"#|rgb|var", one)}.union(
            *map(colours, value)
        )
    return set()


def test_charts_name_variables_of_the_style_alone() -> None:
    line = charts.Line("a", [0.0, 1.0], [0.0, 1.0], [0.0, 0.5], [0.5, 1.0])
    drawn = [
        charts.series([line], band=(0, 1), limit=0.5),
        charts.intervals([charts.Interval("a", 1.0, 0.5, 1.5, limit=1.2)], zero=0.0),
        charts.scatter([1.0, 2.0], [1.0, 2.0], diagonal=True, level=1.0, text=["a", "b"], last=True),
        charts.bars(["a"], [1.0]),
        histograms.histograms(["missing", "0 to 1"], [1, 2], [2, 1], edges=[0, 1], aside=1),
        classification.calibration_curve([line]),
        classification.precision_recall_curve([line], 0.2),
        classification.roc_curve(classification.styled([line, line])),
        classification.confusion_matrix([[1, 0], [0, 1]], ["no", "yes"]),
    ]
    for figure in drawn:
        for colour in colours(figure):
            assert re.fullmatch(r"var\((--[a-z-]+)\)", colour), colour
            for scheme in SCHEMES.values():
                assert f"{colour[4:-1]}:" in scheme
