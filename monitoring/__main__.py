"""The evaluation layer's commands: `replay`, `drift` and `backtest` of `python -m monitoring`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from data.errors import DataError
from monitoring.backtest_command import add_backtest
from monitoring.compare_command import add_compare
from monitoring.compare_simulation_command import add_compare_simulation
from monitoring.errors import MonitoringError, UnreachableError
from monitoring.result import DriftResult
from monitoring.skew_command import add_skew

FAILED = 3

_DRIFT = """Compare a window of the logged traffic with what the model was trained on, join what came true, and decide.

Writes result.json (strict JSON; its schema is in monitoring/result.py) and report.html (verdict, findings and numbers,
with Evidently's plots below them) into --out. Alarms come from one streamed pass over all rows; Evidently draws a
sample. monitoring/drift.py lists the rules of the verdict."""

_DRIFT_EPILOG = """exit code: 0 no drift; 1 drift; 2 not enough or invalid data, or wrong arguments; 3 the job failed,
and one sentence on stderr says why.

environment: TRAFFIC_DIR, BENTOML_HOME, and DRIFT_<NAME> for each setting of monitoring/settings.py, such as
DRIFT_PSI_FLOOR or DRIFT_MAX_DRIFTED_SHARE.

example: python -m monitoring drift --from 2013-07-01 --to 2013-10-01 --on sched_dep --out var/drift"""

_REPLAY = """Send the flights of some months to a running server as if they were live, then what came true of them.

Flights go in the order of scheduled departure, through one door of the server; outcomes go to POST /feedback. What an
overloaded server turns away is tried again. Every flight is either served or counted as an error."""

_REPLAY_EPILOG = """exit code: 0 all flights were served; 1 some were not; 2 wrong arguments, or months without
flights; 3 the server does not answer.

environment: GRPC_PORT, where --grpc is not given.

examples: python -m monitoring replay --months 2013-07:2013-09 --sample 6000
          python -m monitoring replay --months 2013-07 --door grpc --part 1/3"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.run
    return command(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m monitoring", description="Commands of the evaluation layer.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_replay(commands)
    _add_drift(commands)
    add_backtest(commands)
    add_compare(commands)
    add_compare_simulation(commands)
    add_skew(commands)
    return parser


def _add_replay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "replay",
        help="send past flights to a server, and their outcomes",
        description=_REPLAY,
        epilog=_REPLAY_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--months", required=True, metavar="FIRST:LAST", help="such as 2013-07:2013-09, or one month")
    size = command.add_mutually_exclusive_group()
    size.add_argument("--limit", type=_positive, metavar="N", help="the first N flights of the months only")
    size.add_argument("--sample", type=_positive, metavar="N", help="N flights drawn evenly over the months")
    command.add_argument("--seed", type=int, default=20130101, help="of the sample (default: %(default)s)")
    command.add_argument("--part", metavar="K/N", help="of those, every N-th from the K-th on, such as 1/3")
    command.add_argument("--rate", type=float, metavar="ROWS/S", help="at most this many flights a second")
    command.add_argument("--concurrency", type=_positive, default=8, help="requests at a time (default: %(default)s)")
    command.add_argument("--rows-per-request", type=_positive, default=50, help="(default: %(default)s)")
    command.add_argument(
        "--door",
        choices=("http", "rest", "grpc"),
        default="http",
        help="POST /predict (default), or the Open Inference Protocol over REST in binary tensors, or over gRPC",
    )
    command.add_argument("--url", default="http://127.0.0.1:3000", help="of the server (default: %(default)s)")
    command.add_argument("--grpc", metavar="HOST:PORT", help="of its gRPC door (default: --url's host, and GRPC_PORT)")
    command.add_argument("--source", metavar="URI", help="where the flights are (default: the packaged snapshot)")
    command.add_argument(
        "--feedback", action=argparse.BooleanOptionalAction, default=True, help="post the outcomes (default: yes)"
    )
    command.add_argument("--json", action="store_true", help="end with one JSON object on the last line")
    command.set_defaults(run=_replay)


def _add_drift(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "drift",
        help="compare a window of traffic with the model's reference",
        description=_DRIFT,
        epilog=_DRIFT_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--from", dest="start", type=_moment, required=True, metavar="TIME", help="first, ISO 8601")
    command.add_argument("--to", dest="end", type=_moment, required=True, metavar="TIME", help="end, not included")
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
    command.add_argument("--min-rows", type=_positive, metavar="N", help="fewer rows are not judged")
    command.add_argument("--sample", type=_positive, metavar="N", help="rows that the plots are drawn from")
    command.add_argument("--seed", type=int, help="of that sample, and of the intervals")
    command.add_argument("--json", action="store_true", help="end with one JSON object on the last line")
    command.set_defaults(run=_drift)


def _drift(arguments: argparse.Namespace) -> int:
    from monitoring.job import REPORT_FILE, RESULT_FILE, run
    from monitoring.settings import DriftSettings
    from monitoring.window import Query

    if arguments.start >= arguments.end:
        return _fail("--from must be before --to", 2)
    given = {name: value for name in ("min_rows", "sample", "seed") if (value := getattr(arguments, name)) is not None}
    try:
        settings = DriftSettings(**given)
    except ValidationError as error:
        return _fail(_first_error(error), 2)
    query = Query(arguments.traffic_dir, arguments.start, arguments.end, arguments.on)
    try:
        result = run(query, arguments.out, arguments.model, settings)
    except (MonitoringError, DataError, OSError) as error:
        return _fail(f"The drift job failed: {error}", FAILED)
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


def _replay(arguments: argparse.Namespace) -> int:
    from monitoring.replay import replay
    from monitoring.replay_config import ReplayConfig

    given = {name: value for name, value in vars(arguments).items() if value is not None}
    try:
        config = ReplayConfig(**{name: value for name, value in given.items() if name in ReplayConfig.model_fields})
    except ValidationError as error:
        return _fail(_first_error(error), 2)
    try:
        result = replay(config)
    except UnreachableError as error:
        return _fail(str(error), FAILED)
    except (MonitoringError, DataError) as error:
        return _fail(str(error), 2)
    print(result.table())
    if arguments.json:
        print(result.model_dump_json())
    return 0 if result.complete else 1


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date or time, such as 2013-07-01") from None


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _first_error(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"--{'.'.join(map(str, first['loc'])).replace('_', '-')}: {first['msg']}"


def _fail(message: object, code: int) -> int:
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
