"""The page of a model card: what the template `card.html` shows of it, whatever kind of prediction it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tabular_bento.pages import compressed, render
from tabular_bento.pages.drawing import Figure

Tone = Literal["good", "warning", "alarm", "neutral"]


@dataclass(frozen=True)
class Chart:
    """A chart with its heading.

    Parameters
    ----------
    title : str
        Heading.
    label : str
        What is seen, for who cannot see it.
    figure : dict
        A figure of `pages.charts` or one of its neighbours.
    note : str, optional
        How it is read, beside the heading.
    height : int, optional
        In pixels.
    """

    title: str
    label: str
    figure: Figure
    note: str = ""
    height: int = 220


@dataclass(frozen=True)
class Table:
    """A table of texts, whose first column is the rows' headings.

    Parameters
    ----------
    title : str
        What it is, as its heading.
    head : sequence of str
        Headings of the columns.
    rows : sequence of sequence of str
        Cells by row.
    numbers_from, numbers_to : int, optional
        The columns whose cells are numbers: from the one to before the other.
    note : str, optional
        What it is of, beside the heading.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers_from: int = 1
    numbers_to: int = 99
    note: str = ""


@dataclass(frozen=True)
class CardPage:
    """All that the page shows.

    Parameters
    ----------
    problem : str
        Name of the problem.
    headline, message : str
        The main metric of the test part, and its interval beside the naive baseline.
    about : str
        What was trained on what.
    tone : str
        How the heading is coloured.
    baselines : Chart
        The main metric with its interval beside those of the baselines.
    predictions : sequence of Chart
        The test part by prediction and label. The first two are on the first screen.
    importance : Chart, optional
        Importance of the features.
    segments : Chart, optional
        The main metric by segment.
    tables : sequence of Table
        Metrics, segments, parts of the data, settings.
    limits : sequence of str
        What the model is not for, and what it was not measured on.
    warnings : sequence of str
        Of the gate.
    missing : sequence of str
        What the page lacks, and why.
    plots : str, optional
        Evidently's page of the test part.
    made_at : datetime
        When it was made, in UTC.
    """

    problem: str
    headline: str
    message: str
    about: str
    tone: Tone
    baselines: Chart
    predictions: Sequence[Chart]
    importance: Chart | None
    segments: Chart | None
    tables: Sequence[Table]
    limits: Sequence[str]
    warnings: Sequence[str]
    missing: Sequence[str]
    plots: str | None
    made_at: datetime

    def to_html(self) -> str:
        """The whole page."""
        return render("card.html", page=self, plots=compressed(self.plots) if self.plots else None)
