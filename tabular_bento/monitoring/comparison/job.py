"""Whether a candidate may replace the model in service: the evidence, the verdict, and the two files of both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np

from tabular_bento.data.dataset import Dataset
from tabular_bento.errors import CompareError, PackageError, UnreadableModelError
from tabular_bento.evaluation.evaluators import evaluator_of
from tabular_bento.monitoring.comparison.decision import (
    Evidence,
    agreement,
    decisive_metrics,
    judge_costs,
    judge_equivalence,
    judge_losses,
)
from tabular_bento.monitoring.comparison.models import (
    Model,
    Role,
    check_apart,
    check_problem,
    costs,
    is_url,
    located,
    open_model,
)
from tabular_bento.monitoring.comparison.page import page
from tabular_bento.monitoring.comparison.predictions import LossSums, PairedPredictions, Worst, gather
from tabular_bento.monitoring.comparison.result import (
    EXIT_CODES,
    ComparedModel,
    CompareResult,
    Decision,
    Mode,
    Rows,
    Source,
)
from tabular_bento.monitoring.comparison.rows import (
    Batch,
    Found,
    logged,
    parquet,
    parquet_files,
    unseen_rows,
    window_of,
)
from tabular_bento.monitoring.comparison.settings import CompareSettings, read_settings
from tabular_bento.monitoring.files import write_whole
from tabular_bento.problem import Declaration, Problem
from tabular_bento.schema import Kind
from tabular_bento.scoring.package import read_declaration

RESULT_FILE = "compare.json"
REPORT_FILE = "compare.html"

_KINDS = ("test", "traffic", "shadow")
"""Rows that are named by a word; any other name is a file."""

__all__ = ["CompareResult", "CompareSettings", "run"]


def run(
    baseline: str,
    candidate: str,
    source: str,
    mode: Mode,
    out: Path,
    settings: CompareSettings | None = None,
    *,
    problem: Problem | None = None,
    dataset: Dataset | None = None,
) -> CompareResult:
    """Compare two models on the rows of a source, and write `compare.json` and `compare.html`.

    Parameters
    ----------
    baseline, candidate : str
        Each a tag of the model store, the folder of a package, or the URL of a running server. A baseline that this
        checkout cannot compute, because its feature code is another, gives the verdict `cannot_tell` with what to do;
        on `traffic` what it logged is taken in its place.
    source : str
        `test`, `traffic`, `shadow`, or the path of a Parquet file or folder; the settings name the window of the log.
    mode : str
        `equivalent` or `not_worse`.
    out : Path
        The folder of the two files.
    settings : CompareSettings, optional
        By default those of the environment.
    problem : Problem, optional
        The project's problem, which packages are computed with; servers and what was logged need none.
    dataset : Dataset, optional
        The project's rows, for `test`.

    Returns
    -------
    CompareResult
        All of `compare.json`.

    Raises
    ------
    RowsError
        Where `source` is none of those words and no Parquet file is there.
    CompareError, PackageError
        Where a model is not there, the candidate cannot be computed, or the rows are not there.
    ClientError
        Where a server does not respond.
    DataError
        Where rows cannot be read.
    OSError
        Where `out` cannot be written.
    """
    settings = settings or read_settings()
    with ExitStack() as stack:
        comparison = _Comparison(stack, baseline, candidate, source, mode, settings, problem, dataset)
        result, paired = comparison.run()
    write_whole(out / RESULT_FILE, result.to_json())
    write_whole(out / REPORT_FILE, page(result, paired))
    return result


@dataclass(frozen=True)
class _Comparison:
    """One comparison; fields as the parameters of `run`."""

    stack: ExitStack
    baseline: str
    candidate: str
    source: str
    mode: Mode
    settings: CompareSettings
    problem: Problem | None
    dataset: Dataset | None

    def run(self) -> tuple[CompareResult, PairedPredictions]:
        """The result, and the predictions that the page shows."""
        settings, found = self.settings, Found(self.source)
        if self.source not in _KINDS:
            parquet_files(Path(self.source))
        ours: Model | None = None
        theirs: Model | None = None
        unreadable: str | None = None
        batches: Iterable[Batch] = ()
        if self.source == "shadow":
            declaration = self._declaration_of_log()
            models = _from_log(self.baseline), _from_log(self.candidate)
            batches = logged(window_of(settings, declaration), declaration, models[0].model, models[1].model, found)
        else:
            check_problem(self.baseline, self.candidate, self.problem)
            theirs = self._open(self.candidate, "candidate")
            declaration = self.problem.declaration if self.problem else theirs.declaration
            try:
                ours = self._open(self.baseline, "baseline")
                models = ours.described, theirs.described
                check_apart(ours, theirs, settings)
                batches = self._rows_of(ours, theirs, declaration, found)
            except UnreadableModelError as error:
                if self.source == "traffic":
                    models = _from_log(self.baseline), theirs.described
                    found.notes.append(f"{self.baseline} cannot be computed here, so what it logged stands for it.")
                    batches = logged(window_of(settings, declaration), declaration, models[0].model, None, found)
                else:
                    unreadable, models = str(error), (_unknown(self.baseline, "package"), theirs.described)
        evaluator = evaluator_of(declaration.task)
        decisive_metrics(evaluator, settings)  # before anything is computed
        worst = Worst(settings.worst_rows, declaration)
        paired = gather(batches, ours, theirs, declaration, worst)
        measured = costs(ours, theirs, paired.rows, settings) if ours and theirs and len(paired) else []
        found_agreement = agreement(paired, settings, worst.rows(ours, theirs))
        unit = _unit(declaration)
        decision, evidence = judge_losses(LossSums.of_paired(paired), settings, declaration.target.unit)
        if unreadable is not None:
            decision = Decision(unclear=[unreadable])
        elif self.mode == "equivalent":
            decision = judge_equivalence(found_agreement, len(paired), settings, unit)
            measured = [cost.model_copy(update={"limit": None}) for cost in measured]
        else:
            judge_costs(found_agreement, measured, settings, unit, decision)
        decision.unclear += found.incomplete
        result = CompareResult(
            verdict=decision.verdict,
            exit_code=EXIT_CODES[decision.verdict],
            made_at=datetime.now(UTC),
            mode=self.mode,
            target=declaration.target.name,
            metric=evaluator.losses[0],
            unit=declaration.target.unit,
            baseline=models[0],
            candidate=models[1],
            source=_source(self.source, paired, found),
            reasons=decision.reasons,
            notes=[*found.notes, *_notes(evidence), *_limits(declaration, self.mode)],
            rows=_rows(paired, found),
            agreement=found_agreement,
            metrics=evidence.metrics,
            needed=evidence.needed if self.mode == "not_worse" else None,
            segments=evidence.segments,
            days=evidence.days,
            costs=measured,
            settings=settings.model_dump(mode="json"),
        )
        return result, paired

    def _open(self, name: str, role: Role) -> Model:
        model = open_model(name, role, self.settings, self.problem)
        self.stack.callback(model.close)
        return model

    def _declaration_of_log(self) -> Declaration:
        """The declaration of what was logged: the project's, or that of one of the two packages."""
        if self.problem is not None:
            return self.problem.declaration
        for name in (self.candidate, self.baseline):
            if is_url(name):
                continue
            try:
                return read_declaration(located(name).directory)
            except PackageError:
                continue
        raise CompareError(
            f"Neither {self.candidate} nor {self.baseline} is in the model store, so nothing says what was logged: "
            "run the comparison in the project."
        )

    def _rows_of(self, ours: Model, theirs: Model, declaration: Declaration, found: Found) -> Iterator[Batch]:
        if self.source == "traffic":
            return logged(window_of(self.settings, declaration), declaration, None, None, found)
        if self.source == "test":
            if self.dataset is None:
                raise CompareError("--on test reads the project's data: run the comparison in the project.")
            return unseen_rows(ours, theirs, self.dataset, self.settings, found)
        return parquet(Path(self.source), declaration, self.settings, found)


def _unit(declaration: Declaration) -> str:
    """The unit of the numbers of a prediction, for messages; empty where none is declared."""
    (first, *_) = (output for output in declaration.outputs if output.kind is Kind.NUMBER)
    return "of a probability" if first.parts else first.unit or ""


def _unknown(name: str, kind: Literal["package", "log"], tag: str | None = None) -> ComparedModel:
    """A model of which no more is known."""
    return ComparedModel(name=name, kind=kind, model=tag, fingerprint=None, trained_at=None, size_bytes=None)


def _from_log(name: str) -> ComparedModel:
    """A model known by what it logged; a tag without a version is looked up in the store."""
    if is_url(name):
        raise CompareError(f"{name}: the log names models by their tags; give the tag in place of the URL.")
    version = name.partition(":")[2]
    tag = located(name).tag if version in ("", "latest", "champion") else name
    return _unknown(name, "log", tag)


def _source(source: str, paired: PairedPredictions, found: Found) -> Source:
    first = last = None
    if paired.event is not None and len(paired):
        first, last = _moment(int(paired.event.min())), _moment(int(paired.event.max()))
    kind = source if source in _KINDS else "parquet"
    return Source(kind=kind, where=found.where, first=first, last=last)


def _rows(paired: PairedPredictions, found: Found) -> Rows:
    known = ~np.isnan(paired.labels)
    days = len(np.unique(paired.days[known]))
    return Rows(compared=len(paired), labels=int(known.sum()), days=days, left_out=found.left_out)


def _notes(evidence: Evidence) -> list[str]:
    def named(status: str) -> str:
        parts = [part for part in evidence.segments if part.status == status]
        return ", ".join(f"{part.field} {part.value} ({part.labels:,})" for part in parts)

    notes = []
    if harmed := named("harmed"):
        notes.append(f"These segments are shown to lose more than is allowed: {harmed}.")
    if few := named("too_few"):
        notes.append(f"Too few labels, or on too few days, to judge these segments by themselves: {few}.")
    if unclear := named("unclear"):
        notes.append(f"A loss beyond what is allowed is neither shown nor ruled out for {unclear}.")
    return notes


def _limits(declaration: Declaration, mode: Mode) -> list[str]:
    """What cannot be shown of a problem that lacks something."""
    notes = []
    if mode == "not_worse" and declaration.event_time is None:
        notes.append("The problem has no event time: intervals draw blocks of rows, and nothing is shown by day.")
    if mode == "not_worse" and not declaration.segments:
        notes.append("The problem declares no segments: who would pay for the candidate is not looked for.")
    return notes


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC).replace(tzinfo=None)
