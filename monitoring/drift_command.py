"""The command `python -m monitoring drift`."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from pydantic import ValidationError

from data.errors import DataError
from monitoring.arguments import FAILED, fail, first_error, moment, positive
from monitoring.errors import MonitoringError
from monitoring.result import DriftResult

_DESCRIPTION = """Compare a window of the logged traffic with what the model was trained on, join what came true, and decide.

Writes result.json (strict JSON; its schema is in monitoring/result.py) and report.html (verdict, findings and numbers,
with Evidently's plots below them) into --out. Alarms come from one streamed pass over all rows; Evidently draws a
sample. monitoring/drift.py lists the rules of the verdict."""

_EPILOG = """exit code: 0 no drift; 1 drift; 2 not enough or invalid data, or wrong arguments; 3 the job failed,
and one sentence on stderr says why.

environment: TRAFFIC_DIR, BENTOML_HOME, and DRIFT_<NAME> for each setting of monitoring/settings.py, such as
DRIFT_PSI_FLOOR or DRIFT_MAX_DESCRIPTIONED_SHARE.

example: python -m monitoring drift --from 2013-07-01 --to 2013-10-01 --on sched_dep --out var/drift"""


def add_drift(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of the evaluation layer."""
    command = commands.add_parser(
        "drift",
        help="compare a window of traffic with the model's reference",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--from", dest="start", type=moment, required=True, metavar="TIME", help="first, ISO 8601")
    command.add_argument("--to", dest="end", type=moment, required=True, metavar="TIME", help="end, not included")
    command.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for result.json and report.html"
    )
    command.add_argument(
        "--on",
        default="time",
        metavar="COLUMN",
        help="`time` of the prediction in UTC (default), or a local time of the row, such as sched_dep",
    )
    command.add_argument(
        "--traffic-dir",
        type=Path,
        default=os.environ.get("TRAFFIC_DIR") or "var/traffic",
        metavar="DIR",
        help="the traffic log (default: TRAFFIC_DIR, or var/traffic)",
    )
    command.add_argument("--model", metavar="TAG", help="default: the model that most rows of the window name")
    command.add_argument("--min-rows", type=positive, metavar="N", help="fewer rows are not judged")
    command.add_argument("--sample", type=positive, metavar="N", help="rows that the plots are drawn from")
    command.add_argument("--seed", type=int, help="of that sample, and of the intervals")
    command.add_argument("--json", action="store_true", help="end with one JSON object on the last line")
    command.set_defaults(run=_drift)


def _drift(arguments: argparse.Namespace) -> int:
    from monitoring.job import REPORT_FILE, RESULT_FILE, run
    from monitoring.settings import DriftSettings
    from monitoring.window import Query

    if arguments.start >= arguments.end:
        return fail("--from must be before --to", 2)
    given = {name: value for name in ("min_rows", "sample", "seed") if (value := getattr(arguments, name)) is not None}
    try:
        settings = DriftSettings(**given)
    except ValidationError as error:
        return fail(first_error(error), 2)
    query = Query(arguments.traffic_dir, arguments.start, arguments.end, arguments.on)
    try:
        result = run(query, arguments.out, arguments.model, settings)
    except (MonitoringError, DataError, OSError) as error:
        return fail(f"The drift job failed: {error}", FAILED)
    print(_table(result))
    print(f"result   {arguments.out / RESULT_FILE}\nreport   {arguments.out / REPORT_FILE}")
    if arguments.json:
        print(json.dumps(_summary(result, arguments.out), allow_nan=False))
    return result.exit_code


def _table(result: DriftResult) -> str:
    drifted = [f"{column.name} ({column.score:.2f})" for column in result.columns if column.drifted]
    outcomes = result.outcomes
    lines = [
        f"verdict  {result.verdict}",
        f"model    {result.model or 'none'}",
        f"rows     {result.rows.scored:,}",
        f"drifted  {', '.join(drifted) or 'no column'}",
    ]
    if outcomes.model and outcomes.ratio_to_zero_gain is not None:
        lines.append(
            f"errors   RMSE {outcomes.model.rmse:.2f}, MAE {outcomes.model.mae:.2f}, bias {outcomes.model.bias:+.2f}; "
            f"{outcomes.ratio_to_zero_gain:.3f} of zero gain's RMSE; {outcomes.matched:,} outcomes"
        )
    shown = (f"{finding.severity:<8} {finding.text}" for finding in result.findings if finding.severity != "note")
    return "\n".join([*lines, *shown])


def _summary(result: DriftResult, out: Path) -> dict[str, object]:
    from monitoring.job import REPORT_FILE, RESULT_FILE

    return {
        "verdict": result.verdict,
        "exit_code": result.exit_code,
        "model": result.model,
        "rows": result.rows.scored,
        "drifted": [column.name for column in result.columns if column.drifted],
        "prediction_drifted": result.decision.prediction_drifted,
        "outcomes": result.outcomes.matched,
        "ratio_to_zero_gain": result.outcomes.ratio_to_zero_gain,
        "findings": [finding.text for finding in result.findings],
        "result": str(out / RESULT_FILE),
        "report": str(out / REPORT_FILE),
    }
