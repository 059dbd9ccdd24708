"""The drift job: read the window, decide, and hand the verdict on.

The verdict comes first. `result.json` is written as soon as it is known; whatever fails after that is a finding, and
hides nothing.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tabular_bento.evaluation.reference.estimate import Estimate, Withheld
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.monitoring.drift.history import Entry, History
from tabular_bento.monitoring.drift.page import page
from tabular_bento.monitoring.drift.performance import class_metrics, due_from, measuring, summarize
from tabular_bento.monitoring.drift.result import EXIT_CODES, FAILED, DriftResult, Finding
from tabular_bento.monitoring.drift.runs import site
from tabular_bento.monitoring.drift.scores import score, score_columns
from tabular_bento.monitoring.drift.settings import DriftSettings, OutputSettings
from tabular_bento.monitoring.drift.verdict import UNDATED, decide
from tabular_bento.monitoring.files import locked, write_whole
from tabular_bento.monitoring.window.counts import Tally
from tabular_bento.monitoring.window.data import Query, WindowData, event_column
from tabular_bento.monitoring.window.reading import models_in
from tabular_bento.monitoring.window.scan import ExecutionOptions, read_window
from tabular_bento.pages.missing import Report, undeclared

RESULT_FILE = "result.json"
REPORT_FILE = "report.html"
HISTORY_FILE = "history.jsonl"
INDEX_FILE = "index.html"
RUNS = "runs"
"""Folder of the results and reports of past windows, a folder each."""

TREND = 26
"""Windows that the page shows the trend of."""


@dataclass(frozen=True)
class Judgement:
    """The verdict and what it was drawn from."""

    result: DriftResult
    reference: Reference
    data: WindowData


@dataclass
class Run:
    """What a run came to: the verdict, which of `result.json` and `report.html` hold it, and what else went wrong."""

    result: DriftResult
    written: bool = True
    reported: bool = False
    complaints: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """What the command ends with: that of the result, or 3 where no `result.json` holds it."""
        return self.result.exit_code if self.written else FAILED

    def attempt(self, kind: str, what: str, act: Callable[[], object]) -> bool:
        """Do one thing; a failure is a warning among the findings, and False."""
        try:
            act()
        except Exception as error:  # whatever happens there, the verdict stands
            reason = (str(error).splitlines() or [""])[0]
            text = f"{what} ({type(error).__name__}: {reason}); the verdict does not rest on it"
            self.complaints.append(text)
            self.result = self.result.with_finding(Finding.of("notice", kind, text))
            return False
        return True


def run(
    query: Query,
    out: Path,
    model: str | None = None,
    settings: DriftSettings | None = None,
    outputs: OutputSettings | None = None,
    options: ExecutionOptions | None = None,
) -> Run:
    """Judge the window and write `result.json`, `history.jsonl` and `report.html` into the folder `out`, each whole.

    `model` is a tag of the BentoML store, by default the model that most rows of the window name. What `outputs` asks
    for beside that follows; `options` says who reads the log, by default this process. A second run replaces the files,
    and the window's line in the history. Result and report are kept in `runs/` as well, a folder for each window, and
    `index.html` lists them.

    Raises MonitoringError where the model's package cannot be used, or rows cannot be spilled, and LogError where the
    log cannot be read. Whatever fails after the verdict is a finding.
    """
    outputs = outputs or OutputSettings()
    judgement = judge(query, model, settings or DriftSettings(), options)
    result = judgement.result
    if result.verdict == "warning" and outputs.exit_on == "warning":
        result = result.model_copy(update={"exit_code": EXIT_CODES["drift"]})
    done, history = Run(result), History(outputs.history or out / HISTORY_FILE)
    done.complaints += (f"{path} cannot be read: {why}" for path, why in judgement.data.damaged.items())

    def record() -> None:
        done.result = history.record(done.result, outputs.alert_after, outputs.windows)

    def textfile() -> None:
        from tabular_bento.monitoring.drift.textfile import write_metrics

        if outputs.textfile:
            write_metrics(outputs.textfile, done.result, done.exit_code)

    def workspace() -> None:
        from tabular_bento.monitoring.drift.workspace import add_to_workspace

        if outputs.workspace:
            add_to_workspace(outputs.workspace, done.result)

    done.attempt("history_failed", "the history was not written, so this window alone decides the alert", record)
    done.written = done.attempt("result_failed", f"{RESULT_FILE} was not written", lambda: _write_result(out, done))
    done.attempt("textfile_failed", "the metrics were not written", textfile)
    done.attempt("workspace_failed", "the window is not in the Evidently workspace", workspace)
    done.reported = _write_report(out, done, judgement, history)
    if done.reported:
        done.attempt(
            "page_failed",
            "the report is not among those of past runs",
            lambda: _keep(out, done.result, history, outputs.keep_runs, _missing(judgement, "runs")),
        )
    if done.complaints and done.written:  # the verdict is there; what is missing are the complaints
        done.attempt("result_failed", f"{RESULT_FILE} does not tell of what failed", lambda: _write_result(out, done))
    if outputs.webhook and done.result.alert.alert:
        _post(outputs.webhook, out, done, outputs)
    return done


def judge(
    query: Query, model: str | None, settings: DriftSettings, options: ExecutionOptions | None = None
) -> Judgement:
    """The verdict on the window, nothing written. Raises as `run` does."""
    if model is None:
        models = models_in(query, (options or ExecutionOptions()).workers)
        model = next((name for name, _ in models.most_common(1)), None)
    reference = Reference.load(model) if model else Reference.none()
    if model:
        settings.check_columns(names_of(reference))
    data = read_window(
        query,
        reference,
        options,
        sample=settings.sample,
        seed=settings.seed,
        maturity_hours=settings.maturity_hours,
    )
    estimate = None
    if reference.error_model and reference.declaration and data.sample.num_rows:
        event = event_column(reference.declaration)
        days, rows = data.days or UNDATED, data.rows.scored
        estimate = reference.error_model.estimate_sample(
            data.sample, event, days, settings.resamples, settings.seed, rows
        )
    found = judge_window(query, reference, data, settings, estimate=estimate)
    labels = found.result.labels
    measured = labels.model_copy(update={"classes": class_metrics(labels, data, reference.declaration, settings)})
    return replace(found, result=found.result.model_copy(update={"labels": measured}))


def names_of(reference: Reference) -> list[str]:
    """The columns that settings may name."""
    label = [reference.label.name] if reference.label else []
    return [*(column.name for column in reference.columns), *label, *reference.vocabularies]


def judge_window(
    query: Query,
    reference: Reference,
    data: WindowData,
    settings: DriftSettings,
    estimate: Estimate | Withheld | None = None,
) -> Judgement:
    """The verdict on what was read of a window."""
    level = reference.declaration.task.interval if reference.declaration else None
    days, labels = data.days or UNDATED, summarize(data, measuring(reference), settings, level)
    columns = score_columns(reference.columns, data, days, settings)
    if reference.label and labels.maturity and labels.maturity.judged and data.true is not None:
        tally = Tally(reference.label.bins)
        tally.add_counts(data.true[due_from(data, settings) :].sum(axis=0))
        columns.append(score(reference.label, tally, days, settings))
    return Judgement(decide(query, reference, data, columns, labels, estimate, settings), reference, data)


def _write_result(out: Path, done: Run) -> None:
    write_whole(out / RESULT_FILE, done.result.to_json())


def _write_report(out: Path, done: Run, judgement: Judgement, history: History) -> bool:
    """The page with Evidently's plots, or without them where they fail; whether there is one."""
    plots: list[str | None] = [None]
    trend: list[Entry] = [Entry.of(done.result)]

    def draw() -> None:
        from tabular_bento.monitoring.drift.evidently import plot

        plots[0] = plot(done.result, judgement.reference, judgement.data)

    def look_back() -> None:
        trend[:] = history.trend(trend[0], TREND)

    def write(drawn: str | None) -> None:
        write_whole(out / REPORT_FILE, page(done.result, drawn, trend, _missing(judgement, "drift")))

    done.attempt("page_failed", "the page lacks Evidently's plots", draw)
    done.attempt("trend_failed", "the page lacks the windows before this one", look_back)
    if done.attempt("page_failed", f"{REPORT_FILE} was not written", lambda: write(plots[0])):
        return True
    return bool(plots[0]) and done.attempt(
        "page_failed", f"{REPORT_FILE} was not written without plots either", lambda: write(None)
    )


def _missing(judgement: Judgement, report: Report) -> list[str]:
    """What a page lacks because the problem does not declare it."""
    declaration = judgement.reference.declaration
    return undeclared(declaration, report) if declaration else []


def run_folder(entry: Entry) -> str:
    """The name of the folder in `runs/` of a window; names are in order of the windows' beginnings."""
    known = hashlib.sha256("\n".join(map(str, entry.key)).encode()).hexdigest()[:8]
    return f"{entry.start:%Y-%m-%dT%H%M%S}_{entry.end:%Y-%m-%dT%H%M%S}_{known}"


def _keep(out: Path, result: DriftResult, history: History, most: int, missing: list[str]) -> None:
    """Keep the result and the report of the window, remove those of the earliest windows beyond `most`, list all."""
    entry = Entry.of(result)
    entries = history.entries() or [entry]
    with locked(out / RUNS / INDEX_FILE):
        folder = out / RUNS / run_folder(entry)
        write_whole(folder / RESULT_FILE, result.to_json())
        shutil.copyfile(out / REPORT_FILE, folder / f".{REPORT_FILE}")
        (folder / f".{REPORT_FILE}").replace(folder / REPORT_FILE)
        kept = sorted(path for path in (out / RUNS).iterdir() if path.is_dir() and path != folder)
        for old in kept[: max(len(kept) + 1 - most, 0)]:
            shutil.rmtree(old)
        reports = {
            one.key: f"{RUNS}/{run_folder(one)}/{REPORT_FILE}"
            for one in entries
            if (out / RUNS / run_folder(one) / REPORT_FILE).exists()
        }
        write_whole(out / INDEX_FILE, site(entries, reports, REPORT_FILE, missing))


def _post(url: str, out: Path, done: Run, outputs: OutputSettings) -> None:
    """Post the alert; the files are as they are, so a failure is reported on stderr and in what the command returns."""
    from tabular_bento.monitoring.drift import webhook

    links = webhook.links(out / RESULT_FILE, out / REPORT_FILE, outputs.link_base)
    content = webhook.message(done.result, links)
    done.attempt(
        "webhook_failed",
        "the alert was not posted",
        lambda: webhook.post(url, content, outputs.webhook_attempts, outputs.webhook_timeout),
    )
