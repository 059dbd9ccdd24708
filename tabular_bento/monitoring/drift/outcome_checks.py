"""What the outcomes say: whether the error has grown, and whether the outcomes can be trusted."""

from __future__ import annotations

from collections.abc import Iterator

from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.monitoring.drift.checks import note
from tabular_bento.monitoring.drift.result import Errors, Finding, Outcomes
from tabular_bento.monitoring.drift.settings import DriftSettings


def outcome_findings(
    outcomes: Outcomes, reference: Reference, days: float, settings: DriftSettings
) -> Iterator[Finding]:
    """The realised error where it can be judged, else why it cannot; then what is wrong with the outcomes."""
    maturity = outcomes.maturity
    overdue = maturity is not None and maturity.predictions >= settings.min_outcomes and not maturity.judged
    if maturity and overdue and (maturity.coverage or 0) < settings.min_coverage:
        text = (
            f"{maturity.matched:,} of {maturity.predictions:,} predictions older than {duration(maturity.hours)} have "
            "an outcome: those that came may not be like the others, so the error is not judged"
        )
        yield _warning("low_coverage", text)
    if not outcomes.matched:
        yield note("no_outcomes", "no prediction of the window has an outcome yet, so its error is not known")
    elif outcomes.model is None:
        age = duration(maturity.hours) if maturity else "it must be"
        text = (
            f"no prediction that has an outcome is older than {age}: the first outcomes "
            "to come are not like the rest, so they are not measured"
        )
        yield note("no_mature_outcomes", text)
    else:
        yield from _error_findings(outcomes, outcomes.model, reference, days, settings)
    yield from _faults(outcomes)


def _error_findings(
    outcomes: Outcomes, model: Errors, reference: Reference, days: float, settings: DriftSettings
) -> Iterator[Finding]:
    ratio, interval = outcomes.ratio_to_zero_gain, outcomes.ratio_interval
    if ratio is None:
        return
    ranged = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    text = f"RMSE {model.rmse:.2f} of {model.n:,} outcomes, {ratio:.3f}{ranged} of zero gain's"
    if trained := reference.error.get("ratio_to_zero_gain"):
        text += f" ({trained:.3f} in the months it was tested on)"
    limit = max(settings.max_error_ratio, reference.usual_ratio(days))
    if outcomes.maturity and not outcomes.maturity.judged:
        yield note("few_outcomes", f"{text}; {settings.min_outcomes:,} due outcomes are needed to judge it")
        return
    if interval and interval[0] > limit:
        yield Finding(severity="alarm", kind="realised_error", column=None, text=f"{text}, of at most {limit:.3g}")
    else:
        yield note("realised_error_allowed", f"{text}, as is allowed")
    history = outcomes.historical_ratio_interval
    if history and history[0] > 1:
        text = (
            f"RMSE is {outcomes.ratio_to_historical_gain:.3f} of that of historical gain: the look-up table is better"
        )
        yield _warning("worse_than_history", text)


def _faults(outcomes: Outcomes) -> Iterator[Finding]:
    if outcomes.before_prediction:
        text = f"time: {outcomes.before_prediction:,} outcomes were received before their prediction was made"
        yield _warning("outcome_before_prediction", text, "time")
    if outcomes.contradictory:
        text = f"{outcomes.contradictory:,} predictions have outcomes that differ; the latest of each counts"
        yield _warning("contradictory_outcomes", text)
    if outcomes.unknown:
        yield _warning(
            "unknown_outcomes", f"{outcomes.unknown:,} outcomes are of predictions that the log does not hold"
        )
    if outcomes.bad:
        yield _warning("bad_outcomes", f"{outcomes.bad:,} outcomes cannot be read and were left out")


def _warning(kind: str, text: str, column: str | None = None) -> Finding:
    return Finding(severity="warning", kind=kind, column=column, text=text)


def duration(hours: float) -> str:
    """Hours in words of the right size."""
    if hours >= 48:
        return f"{hours / 24:,.0f} days"
    if hours >= 1:
        return f"{hours:.1f} hours"
    return f"{hours * 60:.1f} minutes" if hours >= 1 / 60 else f"{hours * 3600:.1f} seconds"
