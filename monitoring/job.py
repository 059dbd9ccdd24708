"""The drift job: read the window, decide, write `result.json`, then the page."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from monitoring.drift import decide
from monitoring.outcomes import summarize
from monitoring.page import page
from monitoring.reference import Reference
from monitoring.result import DriftResult, Finding
from monitoring.scan import models_in, read_window
from monitoring.scores import score, score_columns
from monitoring.settings import DriftSettings
from monitoring.window import Query, WindowData
from monitoring.workers import ThisProcess, Workers

RESULT_FILE = "result.json"
REPORT_FILE = "report.html"


@dataclass(frozen=True)
class Judgement:
    """The verdict and what it was drawn from."""

    result: DriftResult
    reference: Reference
    data: WindowData


@dataclass(frozen=True)
class Means:
    """What a pass works with: who does the work, and the folder for what is set aside, by default the usual one."""

    workers: Workers = field(default_factory=ThisProcess)
    spill: str | None = None


def run(
    query: Query,
    out: Path,
    model: str | None = None,
    settings: DriftSettings | None = None,
    means: Means | None = None,
) -> DriftResult:
    """Judge the window and write `result.json`, then `report.html`, into the folder `out`, each whole or not at all.

    `model` is a tag of the BentoML store, by default the model that most rows of the window name. Plots that cannot
    be made are a finding; the verdict stands, and the page has all the rest. A second run replaces the files.

    Raises MonitoringError where the model's package cannot be used, the log lacks a column that every row has, rows
    cannot be set aside or workers fail, DataError where the log cannot be read, OSError where `out` cannot be written.
    """
    judgement = judge(query, model, settings or DriftSettings(), means)
    result, plots = judgement.result, None
    out.mkdir(parents=True, exist_ok=True)
    _write(out / RESULT_FILE, result.to_json())
    try:
        from monitoring.report import plot

        plots = plot(result, judgement.reference, judgement.data)
    except Exception as error:  # whatever happens in Evidently, the verdict is out
        result = result.model_copy(update={"findings": [*result.findings, _page_failed(error)]})
        _write(out / RESULT_FILE, result.to_json())
    _write(out / REPORT_FILE, page(result, plots))
    return result


def judge(query: Query, model: str | None, settings: DriftSettings, means: Means | None = None) -> Judgement:
    """The verdict on the window, nothing written. Raises as `run` does."""
    means = means or Means()
    if model is None:
        model = next((name for name, _ in models_in(query, means.workers).most_common(1)), None)
    reference = Reference.load(model) if model else Reference.none()
    data = read_window(query, reference, settings.sample, settings.seed, means.workers, means.spill)
    return judge_window(query, reference, data, settings)


def judge_window(query: Query, reference: Reference, data: WindowData, settings: DriftSettings) -> Judgement:
    """The verdict on what was read of a window."""
    days = data.blocks.days
    outcomes = summarize(data.joined, data.blocks, settings.resamples, settings.seed)
    columns = score_columns(reference.columns, data, days, settings)
    if outcomes.matched >= settings.min_outcomes and reference.outcome and data.outcome:
        columns.append(score(reference.outcome, data.outcome, days, settings))
    return Judgement(decide(query, reference, data, columns, outcomes, settings), reference, data)


def _page_failed(error: Exception) -> Finding:
    what = (str(error).splitlines() or [""])[0]
    text = f"the page lacks Evidently's plots ({type(error).__name__}: {what}); the verdict does not rest on them"
    return Finding(severity="warning", kind="page_failed", column=None, text=text)


def _write(path: Path, content: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(content, encoding="utf-8")
    os.replace(temporary, path)
