"""Whether a candidate may replace the model in service: the evidence, the verdict, and the two files of both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from tabular_bento.errors import CompareError, UnreadableModelError
from tabular_bento.evaluation.reference.package import stored_model
from tabular_bento.monitoring.compare.agreement import agreement, judge_equivalence
from tabular_bento.monitoring.compare.batches import Batch, Found
from tabular_bento.monitoring.compare.cost import costs
from tabular_bento.monitoring.compare.log import logged
from tabular_bento.monitoring.compare.page import page
from tabular_bento.monitoring.compare.pairs import Pairs, Worst, gather
from tabular_bento.monitoring.compare.result import EXIT_CODES, CompareResult, Mode, Party, Rows, Source
from tabular_bento.monitoring.compare.ruling import Ruling
from tabular_bento.monitoring.compare.settings import CompareSettings, read_settings
from tabular_bento.monitoring.compare.sides import Side, check_apart, is_url, open_side, resolved
from tabular_bento.monitoring.compare.sources import parquet, unseen_months, window_of
from tabular_bento.monitoring.compare.sums import DAY, ErrorSums
from tabular_bento.monitoring.compare.verdict import Evidence, judge_errors, judge_figures
from tabular_bento.monitoring.files import write_whole

RESULT_FILE = "compare.json"
REPORT_FILE = "compare.html"

__all__ = ["CompareResult", "CompareSettings", "run"]


def run(
    baseline: str,
    candidate: str,
    source: str,
    mode: Mode,
    out: Path,
    settings: CompareSettings | None = None,
) -> CompareResult:
    """Compare two models on the rows of `source`, write `compare.json` and `compare.html` into `out`, give the verdict.

    Each model is a tag of the BentoML store, the folder of a package, or the URL of a running server. `source` is
    `test`, `traffic`, `shadow`, or the path of a Parquet file or folder; the settings name the window of the log. A
    baseline that this checkout cannot compute, because its feature code is another, gives the verdict `cannot_tell`
    with what to do; on `traffic` what it logged is taken in its place.

    Raises MonitoringError where a model is not there, the candidate cannot be computed, a server does not answer or the
    rows are not there; DataError where they cannot be read; OSError where `out` cannot be written.
    """
    settings = settings or read_settings()
    with ExitStack() as stack:
        result, pairs = _compare(stack, baseline, candidate, source, mode, settings)
    write_whole(out / RESULT_FILE, result.to_json())
    write_whole(out / REPORT_FILE, page(result, pairs))
    return result


def _compare(
    stack: ExitStack, baseline: str, candidate: str, source: str, mode: Mode, settings: CompareSettings
) -> tuple[CompareResult, Pairs]:
    found = Found(source)
    ours: Side | None = None
    theirs: Side | None = None
    unreadable: str | None = None
    batches: Iterable[Batch] = ()
    if source == "shadow":
        parties = _from_log(baseline), _from_log(candidate)
        batches = logged(window_of(settings), parties[0].model, parties[1].model, found)
    else:
        theirs = _opened(stack, open_side(candidate, "candidate", settings))
        try:
            ours = _opened(stack, open_side(baseline, "baseline", settings))
            parties = ours.party, theirs.party
            check_apart(ours, theirs, settings)
            batches = _rows_of(source, ours, theirs, settings, found)
        except UnreadableModelError as error:
            if source == "traffic":
                parties = _from_log(baseline), theirs.party
                found.notes.append(f"{baseline} cannot be computed here, so what it logged stands for it.")
                batches = logged(window_of(settings), parties[0].model, None, found)
            else:
                unreadable, parties = str(error), (_unread(baseline), theirs.party)
    worst = Worst(settings.worst_rows)
    pairs = gather(batches, ours, theirs, worst)
    measured = costs(ours, theirs, pairs.asked, settings) if ours and theirs and len(pairs) else []
    found_agreement = agreement(pairs, settings, worst.rows(ours, theirs))
    ruling, evidence = judge_errors(ErrorSums.of_pairs(pairs), settings)
    if unreadable is not None:
        ruling = Ruling(unclear=[unreadable])
    elif mode == "equivalent":
        ruling = judge_equivalence(found_agreement, len(pairs), settings)
        measured = [cost.model_copy(update={"limit": None}) for cost in measured]
    else:
        judge_figures(found_agreement, measured, settings, ruling)
    result = CompareResult(
        verdict=ruling.verdict,
        exit_code=EXIT_CODES[ruling.verdict],
        made_at=datetime.now(UTC),
        mode=mode,
        baseline=parties[0],
        candidate=parties[1],
        source=_source(source, pairs, found),
        reasons=ruling.reasons,
        notes=[*found.notes, *_notes(evidence)],
        rows=_rows(pairs, found),
        agreement=found_agreement,
        metrics=evidence.metrics,
        segments=evidence.segments,
        days=evidence.days,
        costs=measured,
        settings=settings.model_dump(mode="json"),
    )
    return result, pairs


def _opened(stack: ExitStack, side: Side) -> Side:
    stack.callback(side.close)
    return side


def _from_log(name: str) -> Party:
    """A model known by what it logged; a tag without a version is looked up in the store."""
    if is_url(name):
        raise CompareError(f"{name}: the log names models by their tags; give the tag in place of the URL.")
    tag = resolved(name)
    if name.endswith(":latest") or not (":" in name or Path(name).exists()):
        tag = str(stored_model(name).tag)
    return Party(name=name, kind="log", model=tag, fingerprint=None, trained_at=None, size_bytes=None)


def _unread(name: str) -> Party:
    return Party(name=name, kind="package", model=None, fingerprint=None, trained_at=None, size_bytes=None)


def _rows_of(source: str, ours: Side, theirs: Side, settings: CompareSettings, found: Found) -> Iterator[Batch]:
    if source == "traffic":
        return logged(window_of(settings), None, None, found)
    if source == "test":
        return unseen_months(ours, theirs, settings, found)
    return parquet(Path(source), settings, found)


def _source(source: str, pairs: Pairs, found: Found) -> Source:
    first, last = (_moment(int(end)) for end in (pairs.event.min(), pairs.event.max())) if len(pairs) else (None, None)
    kind = source if source in ("test", "traffic", "shadow") else "parquet"
    return Source(kind=kind, where=found.where, first=first, last=last)


def _rows(pairs: Pairs, found: Found) -> Rows:
    known = pairs.outcome == pairs.outcome
    days = len(set((pairs.event[known] // DAY).tolist()))
    return Rows(compared=len(pairs), outcomes=int(known.sum()), days=days, left_out=found.left_out)


def _notes(evidence: Evidence) -> list[str]:
    def named(standing: str) -> str:
        parts = [part for part in evidence.segments if part.standing == standing]
        return ", ".join(f"{part.field} {part.value} ({part.outcomes:,})" for part in parts)

    notes = []
    if harmed := named("harmed"):
        notes.append(f"These segments are shown to lose more than is allowed: {harmed}.")
    if few := named("too_few"):
        notes.append(f"Too few outcomes, or on too few days, to judge these segments by themselves: {few}.")
    if unclear := named("unclear"):
        notes.append(f"A loss beyond what is allowed is neither shown nor ruled out for {unclear}.")
    return notes


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC).replace(tzinfo=None)
