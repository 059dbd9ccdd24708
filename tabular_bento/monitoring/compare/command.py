"""The command `python -m monitoring compare`."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabular_bento.errors import CompareError, DataError, MonitoringError, ScoringError
from tabular_bento.monitoring.arguments import FAILED, MOMENT, add_command, fail, moment

if TYPE_CHECKING:
    from tabular_bento.monitoring.compare.result import CompareResult


_DESCRIPTION = """Say whether a candidate may replace the model in service, on evidence.

  --equivalent  the same model rebuilt (new libraries, another machine, another runner): every prediction within an
                absolute and a relative tolerance; the rows that differ most are printed with their features
  --not-worse   a retrained model: RMSE and MAE higher by no more than a margin, by all of an interval that draws whole
                days, and no carrier or origin that pays for it; time and size within limits

Writes compare.json (strict JSON; its schema is in monitoring/compare/result.py) and compare.html into --out.
docs/compare.md says how the verdict is made, and how often it is wrong."""

_EPILOG = """exit code: 0 accepted; 1 refused; 2 cannot tell (too few outcomes or days, an interval too wide, a baseline
that this checkout cannot compute), or wrong arguments; 3 the comparison failed, and one sentence on stderr
says why.

environment: BENTOML_HOME, TRAFFIC_DIR, and COMPARE_<NAME> for each setting of monitoring/compare/settings.py, such as
COMPARE_MARGIN or COMPARE_MAX_LATENCY_RATIO.

examples: python -m monitoring compare --baseline flights:v1 --candidate flights:latest --on test --not-worse \\
              --out var/compare
          python -m monitoring compare --baseline flights:v1 --candidate flights:v2 --on shadow --from 2026-03-01 \\
              --to 2026-04-01 --not-worse --out var/compare
          python -m monitoring compare --baseline http://127.0.0.1:3000 --candidate http://127.0.0.1:4000 --on test \\
              --sample 5000 --door rest --equivalent --out var/compare"""


def add_compare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of the evaluation layer."""
    command = add_command(
        commands, "compare", "say whether a candidate may replace the model in service", _DESCRIPTION, _EPILOG
    )
    who = "a tag of the BentoML store, the folder of a package, or the URL of a running server"
    command.add_argument("--baseline", required=True, metavar="MODEL", help=f"the model in service: {who}")
    command.add_argument("--candidate", required=True, metavar="MODEL", help="what may replace it, named alike")
    command.add_argument(
        "--on",
        required=True,
        metavar="SOURCE",
        help="`test` (the candidate's test months), a Parquet file or folder of examples with their outcomes, "
        "`traffic` (logged requests with their outcomes, predicted again), or `shadow` (what the candidate predicted "
        "in the shadow)",
    )
    mode = command.add_mutually_exclusive_group(required=True)
    mode.add_argument("--equivalent", dest="mode", action="store_const", const="equivalent", help="see above")
    mode.add_argument("--not-worse", dest="mode", action="store_const", const="not_worse", help="see above")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the two files")
    window = command.add_argument_group("a window of the log, for `traffic` and `shadow`")
    window.add_argument("--from", dest="start", type=moment, metavar="TIME", help=f"first, {MOMENT} (default: all)")
    window.add_argument("--to", dest="end", type=moment, metavar="TIME", help="end, not included")
    window.add_argument(
        "--window-on",
        metavar="COLUMN",
        help="`time` of the prediction in UTC (default), or a local time of the row, such as sched_dep",
    )
    window.add_argument("--traffic-dir", metavar="DIR", help="the traffic log (default: TRAFFIC_DIR, or var/traffic)")
    servers = command.add_argument_group("servers, which log these rows like any others")
    servers.add_argument("--door", choices=("http", "rest", "grpc"), help="way into them (default: http)")
    servers.add_argument("--baseline-grpc", metavar="HOST:PORT", help="gRPC door (default: the URL's host, GRPC_PORT)")
    servers.add_argument("--candidate-grpc", metavar="HOST:PORT", help="the same of the candidate")
    command.add_argument("--sample", type=int, metavar="N", help="N rows, evenly over the examples (default: all)")
    command.add_argument(
        "--margin", type=float, metavar="SHARE", help="of RMSE and MAE that may be lost (default: 0.01)"
    )
    command.add_argument("--json", action="store_true", help="end with one JSON object on the last line")
    command.set_defaults(run=_compare)


def _compare(arguments: argparse.Namespace) -> int:
    from tabular_bento.monitoring.compare.job import REPORT_FILE, RESULT_FILE, run
    from tabular_bento.monitoring.compare.settings import read_settings

    if unused := _unused(arguments):
        return fail(unused, 2)

    names = ("start", "end", "door", "baseline_grpc", "candidate_grpc", "sample", "margin", "traffic_dir")
    given: dict[str, Any] = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    if arguments.window_on is not None:
        given["on"] = arguments.window_on
    if "traffic_dir" not in given and os.environ.get("TRAFFIC_DIR"):
        given["traffic_dir"] = os.environ["TRAFFIC_DIR"]
    try:
        settings = read_settings(**given)
    except CompareError as error:
        return fail(error, 2)
    try:
        result = run(arguments.baseline, arguments.candidate, arguments.on, arguments.mode, arguments.out, settings)
    except (MonitoringError, DataError, ScoringError, OSError) as error:
        return fail(f"The comparison failed: {error}", FAILED)
    print(table(result))
    print(f"result     {arguments.out / RESULT_FILE}\nreport     {arguments.out / REPORT_FILE}")
    if arguments.json:
        print(json.dumps(_summary(result, arguments.out / RESULT_FILE, arguments.out / REPORT_FILE), allow_nan=False))
    return result.exit_code


def _unused(arguments: argparse.Namespace) -> str | None:
    """What to say of the first option that has no use beside the others: it would be dropped silently."""
    from tabular_bento.monitoring.compare.sides import is_url

    logged = arguments.on in ("traffic", "shadow")
    ours, theirs = is_url(arguments.baseline), is_url(arguments.candidate)
    uses = (
        ("start", "--from", logged, "a window of the log, with --on traffic or shadow"),
        ("end", "--to", logged, "a window of the log, with --on traffic or shadow"),
        ("window_on", "--window-on", logged, "a window of the log, with --on traffic or shadow"),
        ("traffic_dir", "--traffic-dir", logged, "the log, with --on traffic or shadow"),
        ("sample", "--sample", not logged, "--on test and Parquet; of the log, name a window"),
        ("margin", "--margin", arguments.mode == "not_worse", "--not-worse"),
        ("door", "--door", ours or theirs, "servers, which are named by their URLs"),
        ("baseline_grpc", "--baseline-grpc", ours, "a baseline that is named by its URL"),
        ("candidate_grpc", "--candidate-grpc", theirs, "a candidate that is named by its URL"),
    )
    for name, option, used, what in uses:
        if getattr(arguments, name) is not None and not used:
            return f"{option} is for {what}: leave it out."
    return None


def table(result: CompareResult) -> str:
    """A few lines for people; of a comparison for equivalence, with the worst rows."""
    lines = [
        ("verdict", result.verdict.replace("_", " ")),
        ("baseline", result.baseline.name),
        ("candidate", result.candidate.name),
        ("rows", f"{result.rows.compared:,}, {result.rows.outcomes:,} outcomes on {result.rows.days:,} days"),
    ]
    if result.agreement is not None:
        found = result.agreement
        lines.append(
            (
                "moved",
                f"{found.rows_differing:,} rows differ in any bit, {found.rows_beyond:,} beyond tolerance, "
                f"{found.moved_share:.1%} by more than {result.settings['moved_minutes']:g}",
            )
        )
    for metric in result.metrics:
        bounds = f" ({metric.interval[0]:+.3f} to {metric.interval[1]:+.3f})" if metric.interval else ""
        said = f"{metric.baseline:.3f}, then {metric.candidate:.3f}: {metric.delta:+.3f}{bounds}"
        lines.append((metric.name.upper(), f"{said}, {metric.margin:.3f} allowed"))
    lines += [(cost.name.split("_")[0], f"{cost.ratio:.2f} times the baseline's {cost.name}") for cost in result.costs]
    lines += [("because", reason) for reason in result.reasons]
    lines += [("note", note) for note in result.notes]
    if result.mode == "equivalent" and result.agreement is not None:
        for worst in result.agreement.worst:
            said = f"{worst.row}: {worst.baseline:.9g}, then {worst.candidate:.9g} ({worst.delta:+.3g})"
            shown = {**worst.fields, **({"features": worst.features} if worst.features else {})}
            lines.append(("worst", f"{said} {json.dumps(shown)}"))
    return "\n".join(f"{name:<10} {value}" for name, value in lines)


def _summary(result: CompareResult, result_file: Path, report_file: Path) -> dict[str, object]:
    return {
        "verdict": result.verdict,
        "exit_code": result.exit_code,
        "mode": result.mode,
        "reasons": result.reasons,
        "rows": result.rows.compared,
        "outcomes": result.rows.outcomes,
        "metrics": {metric.name: metric.model_dump(mode="json") for metric in result.metrics},
        "result": str(result_file),
        "report": str(report_file),
    }
