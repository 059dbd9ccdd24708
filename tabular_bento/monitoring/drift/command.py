"""The command `python -m monitoring drift`."""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pydantic import ValidationError

from features.definition import SEGMENTS
from tabular_bento.errors import DataError, MonitoringError
from tabular_bento.monitoring.arguments import FAILED, add_command, add_window, fail, first_error, positive
from tabular_bento.monitoring.drift.means_arguments import add_means, means_of
from tabular_bento.monitoring.drift.result import DriftResult

if TYPE_CHECKING:
    from tabular_bento.monitoring.drift.settings import DriftSettings, OutputSettings

_DESCRIPTION = """Compare a window of logged traffic with what the model was trained on and what came true, and decide.

Into --out go result.json (strict JSON; --schema prints its schema), report.html (verdict, findings, what to look at,
errors and trend, with Evidently's plots below) and history.jsonl (a line for each window, replaced when the window is
judged again). --textfile, --workspace and --webhook hand the verdict on. Alarms come from one streamed pass over all
rows; Evidently draws a sample. docs/drift.md has the rules of the verdict, and what to do about each finding."""

_EPILOG = """exit code: 0 no drift, or a drift that --alert-after holds back; 1 drift; 2 not enough or invalid data,
or wrong arguments; 3 the job failed or could not write result.json, and one sentence on stderr says why, after
the traceback of a fault that nobody foresaw.
Any other output that fails is a sentence on stderr; the exit code stays that of the verdict.

environment: TRAFFIC_DIR, BENTOML_HOME, and DRIFT_<NAME> for each setting of monitoring/drift/settings.py, such as
DRIFT_MATURITY_HOURS, DRIFT_TEXTFILE, DRIFT_WORKSPACE or DRIFT_WEBHOOK.

examples: python -m monitoring drift --from 2013-07-01 --to 2013-10-01 --on sched_dep --out var/drift
          python -m monitoring drift --from 2013-07-08 --to 2013-07-15 --on sched_dep --out var/drift \\
              --alert-after 2 --of 3 --textfile /var/lib/node_exporter/drift.prom --webhook https://chat.example/hook"""

_SETTINGS = ("min_rows", "sample", "seed", "maturity_hours")
_FORESEEN = (MonitoringError, DataError, OSError)
"""Failures that their own sentence explains; any other is a fault of the job, and its traceback is told too."""

_OUTPUTS = ("history", "alert_after", "alert_of", "textfile", "workspace", "webhook")


class _PrintSchema(argparse.Action):
    """Prints the JSON schema of result.json and ends, whatever other arguments are missing."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(json.dumps(DriftResult.model_json_schema(mode="serialization"), indent=1))
        parser.exit()


def add_drift(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of the evaluation layer."""
    command = add_command(
        commands, "drift", "compare a window of traffic with the model's reference", _DESCRIPTION, _EPILOG
    )
    add_window(command)
    command.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for result.json and report.html"
    )
    command.add_argument(
        "--by", choices=SEGMENTS, help="break the window down by this field: rows, errors and drift of each value"
    )
    command.add_argument("--min-rows", type=positive, metavar="N", help="fewer rows are not judged")
    command.add_argument("--sample", type=positive, metavar="N", help="rows that the plots are drawn from")
    command.add_argument("--seed", type=int, help="of that sample, and of the intervals")
    command.add_argument(
        "--maturity-hours",
        type=float,
        metavar="H",
        help="age from which an outcome is due (default: as they came)",
    )
    command.add_argument(
        "--alert-after",
        type=positive,
        metavar="K",
        help="alert, with exit code 1 and the webhook, only when K of the last N windows drifted, this one among them",
    )
    command.add_argument("--of", dest="alert_of", type=positive, metavar="N", help="(default: K)")
    command.add_argument("--history", type=Path, metavar="FILE", help="(default: history.jsonl in --out)")
    command.add_argument("--textfile", type=Path, metavar="FILE", help="metrics for Prometheus' node_exporter")
    command.add_argument("--workspace", type=Path, metavar="DIR", help="Evidently workspace, for `make dashboard`")
    command.add_argument("--webhook", metavar="URL", help="post an alert there as JSON")
    add_means(command)
    command.add_argument("--schema", action=_PrintSchema, nargs=0, help="print the JSON schema of result.json")
    command.add_argument("--json", action="store_true", help="end with one JSON object on the last line")
    command.set_defaults(run=_drift)


def _drift(arguments: argparse.Namespace) -> int:
    from tabular_bento.monitoring.drift.settings import DriftSettings, OutputSettings

    if arguments.start >= arguments.end:
        return fail("--from must be before --to", 2)
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    try:
        settings = DriftSettings(**{name: given[name] for name in _SETTINGS if name in given})
        outputs = OutputSettings(**{name: given[name] for name in _OUTPUTS if name in given})
    except ValidationError as error:
        return fail(first_error(error, given, "DRIFT_"), 2)
    try:
        return _judge(arguments, settings, outputs)
    except Exception as error:  # Python's own exit code for it, 1, would mean drift
        if outputs.textfile:
            _tell_of_failure(outputs.textfile)
        if not isinstance(error, _FORESEEN):
            traceback.print_exc()
        return fail(f"The drift job failed: {error}", FAILED)


def _judge(arguments: argparse.Namespace, settings: DriftSettings, outputs: OutputSettings) -> int:
    from tabular_bento.monitoring.drift.job import REPORT_FILE, RESULT_FILE, run
    from tabular_bento.monitoring.window.data import Query

    query = Query(arguments.traffic_dir, arguments.start, arguments.end, arguments.on, arguments.by)
    with means_of(arguments) as means:
        done = run(query, arguments.out, arguments.model, settings, outputs, means)
    print(_table(done.result))
    print(f"result   {arguments.out / RESULT_FILE}\nreport   {arguments.out / REPORT_FILE}")
    for complaint in done.complaints:
        print(f"warning: {complaint}", file=sys.stderr)
    if arguments.json:
        print(json.dumps(_summary(done.result, arguments.out), allow_nan=False))
    return done.exit_code


def _tell_of_failure(textfile: Path) -> None:
    from tabular_bento.monitoring.drift.textfile import write_failure

    try:
        write_failure(textfile, FAILED)
    except OSError as error:
        print(f"warning: the metrics were not written: {error}", file=sys.stderr)


def _table(result: DriftResult) -> str:
    drifted = [f"{column.name} ({column.score:.2f})" for column in result.columns if column.drifted]
    outcomes = result.outcomes
    lines = [
        f"verdict  {result.verdict}{_alert(result)}",
        f"model    {result.model or 'none'}",
        f"rows     {result.rows.scored:,}",
        f"drifted  {', '.join(drifted) or 'no column'}",
    ]
    if outcomes.model and outcomes.ratio_to_zero_gain is not None:
        lines.append(
            f"errors   RMSE {outcomes.model.rmse:.2f}, MAE {outcomes.model.mae:.2f}, bias {outcomes.model.bias:+.2f}; "
            f"{outcomes.ratio_to_zero_gain:.3f} of zero gain's RMSE; {outcomes.matched:,} outcomes"
        )
    if estimate := result.estimate:
        low, high = estimate.rmse_interval
        lines.append(f"expected RMSE {estimate.rmse:.2f} ({low:.2f} to {high:.2f}), estimated without outcomes")
    shown = (f"{finding.severity:<8} {finding.text}" for finding in result.findings if finding.severity != "note")
    return "\n".join([*lines, *shown])


def _alert(result: DriftResult) -> str:
    alert = result.alert
    if result.verdict != "drift" or alert.of == 1:
        return ""
    return f", {'an' if alert.alert else 'no'} alert: {alert.drifted} of the last {alert.windows} windows drifted"


def _summary(result: DriftResult, out: Path) -> dict[str, object]:
    from tabular_bento.monitoring.drift.job import REPORT_FILE, RESULT_FILE

    return {
        "verdict": result.verdict,
        "alert": result.alert.alert,
        "exit_code": result.exit_code,
        "model": result.model,
        "rows": result.rows.scored,
        "drifted": [column.name for column in result.columns if column.drifted],
        "prediction_drifted": result.decision.prediction_drifted,
        "outcomes": result.outcomes.matched,
        "ratio_to_zero_gain": result.outcomes.ratio_to_zero_gain,
        "estimated_rmse": result.estimate.rmse if result.estimate else None,
        "findings": [finding.text for finding in result.findings],
        "result": str(out / RESULT_FILE),
        "report": str(out / REPORT_FILE),
    }
