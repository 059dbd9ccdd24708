"""Where to look first, for each kind of finding that asks for something; docs/drift.md says more."""

from __future__ import annotations

from tabular_bento.monitoring.drift.result import Column, Finding

_ADVICE = {
    "bad_lines": "the lines named: which process wrote them, and what was deployed there since the last good window",
    "column_absent": "which server wrote the rows (their `model` and `declaration`), and what it was built from",
    "column_wrong_type": "the log's schemas/ folder: the newest one shows who changed the declaration",
    "few_rows": "whether traffic arrives at all: the server's request counter; then --traffic-dir, --from, --to, --on",
    "few_hours": "a window of whole days; if it was one, at which hour the traffic stopped",
    "column_all_missing": "the source of {column}: its feed or join has stopped; predictions go on without it",
    "column_empty": "the client that sends {column} empty",
    "column_constant": "the source of {column}: a stuck sensor, or a default that someone fills in",
    "missing_rise": "which source, carrier or origin stopped sending {column}, and since when",
    "column_infinite": "the division or the parser that makes {column}",
    "prediction_drift": "the features below that drifted, {worst} first; if none did, the mix of traffic has changed",
    "strong_drift": "{worst}: its units, codes or look-up table, against the source; then its plot below",
    "share_of_features": "{worst}: one source in common is a fault there; none is the season, or the world",
    "realised_error": "bias and RMSE below, and when they rose in the trend; then train again, or serve the baseline",
    "new_category": "whether these values are new business or a typing error; the model knows nothing of them",
    "out_of_range": "the largest and smallest values of {column}: a unit, or a sentinel such as 9999",
    "outcome_drift": "whether what came true changed, or only how it is reported",
    "other_models": "whether a release is under way; judge each model by itself with --model",
    "without_id": "the process that writes them: their outcomes can never be joined",
    "unusable_value": "what writes {column}: a null, or a sum that overflowed",
    "clock_ahead": "the clock of the server that wrote them",
    "outcome_before_prediction": "the clocks of the server and of what posts outcomes",
    "contradictory_outcomes": "what posts outcomes twice; a correction is fine",
    "unknown_outcomes": "whether the log was cut by retention, or outcomes of another system are posted here",
    "bad_outcomes": "what posts outcomes, and the log under outcomes/rejected",
    "outcomes_unreadable": "the schemas/ folder of the log of outcomes: what posts them has other columns",
    "low_coverage": "what posts outcomes: it lags, or has stopped",
    "worse_than_history": "whether the model was trained too long ago",
}


def with_advice(finding: Finding, columns: list[Column]) -> Finding:
    """The finding with where to look; `columns` are from the most to the least drifted."""
    if finding.severity == "note" or finding.kind not in _ADVICE:
        return finding
    worst = [column.name for column in columns if column.drifted and column.role == "feature"][:2]
    text = _ADVICE[finding.kind].format(column=finding.column, worst=" and ".join(worst) or "the busiest sources")
    return finding.model_copy(update={"look_at": text})
