"""`tabular-bento compare`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tabular_bento.cli.common import (
    FAILED,
    WRONG_ARGUMENTS,
    Json,
    Margin,
    Metric,
    OptionalEnd,
    OptionalStart,
    Out,
    Sample,
    TrafficDir,
    WindowOn,
    compare_settings,
    fail,
    project_if_any,
    show_result,
)
from tabular_bento.errors import CompareError, ConfigError, MetricError, RowsError, TabularBentoError

if TYPE_CHECKING:
    from tabular_bento.monitoring.comparison.result import CompareResult, Mode

_COSTS = {
    "one_row_microseconds": "time of one row",
    "thousand_rows_microseconds": "time of a thousand rows",
    "package_bytes": "size of the package",
}
_MODEL = "a tag of the model store, the folder of a package, or the URL of a running server"


def compare(
    baseline: Annotated[str, typer.Option(metavar="MODEL", show_default=False, help=f"Model in service: {_MODEL}.")],
    candidate: Annotated[
        str, typer.Option(metavar="MODEL", show_default=False, help="Model that may replace it, named in the same way.")
    ],
    on: Annotated[
        str,
        typer.Option(
            "--on",
            metavar="SOURCE",
            show_default=False,
            help="Rows to compare on: `test`, the candidate's test part; a Parquet file or folder of rows with their "
            "labels; `traffic`, logged requests with their labels, predicted again; or `shadow`, what the candidate "
            "predicted in the shadow.",
        ),
    ],
    out: Out,
    equivalent: Annotated[
        bool,
        typer.Option(
            "--equivalent", help="Judge whether it is the same model, rebuilt. One of this and --not-worse is required."
        ),
    ] = False,
    not_worse: Annotated[bool, typer.Option("--not-worse", help="Judge whether another model is not worse.")] = False,
    start: OptionalStart = None,
    end: OptionalEnd = None,
    window_on: WindowOn = None,
    traffic_dir: TrafficDir = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="PROTOCOL",
            help="Protocol of the calls to servers: json, rest, rest-binary, grpc or grpc-stream; by default json. "
            "Servers log these rows like any others.",
        ),
    ] = None,
    baseline_grpc: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Address of the baseline's gRPC; by default the host of its URL and TABULAR_BENTO_GRPC_PORT, 3001.",
        ),
    ] = None,
    candidate_grpc: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Address of the candidate's gRPC, with the same default.")
    ] = None,
    sample: Sample = None,
    metric: Metric = None,
    margin: Margin = None,
    as_json: Json = False,
) -> None:
    """Decide whether a candidate may replace the model in service, on evidence.

    --equivalent is for the same model, rebuilt with new libraries, on another machine or with another runner. Every
    prediction must be within a tolerance. The rows that differ most are printed with their features.

    --not-worse is for a retrained model. The interval of the difference in RMSE and MAE (of classes, in log loss and
    Brier score) must lie within the margin, and no segment may be shown to lose. Time and size must be within limits.

    --out gets compare.html and compare.json, which is strict JSON. docs/compare.md says how the verdict is made, and
    how often it is wrong. Packages are computed in their project; servers and the shadow need none.

    Settings are options, else TABULAR_BENTO_COMPARE_<NAME> of the environment, such as TABULAR_BENTO_COMPARE_MARGIN,
    else the table [compare] of monitoring/config.toml.

    Exit codes: 0 accepted; 1 refused; 2 cannot tell (too few labels or days, an interval too wide, or a baseline that
    this checkout cannot compute), or wrong arguments; 3 the comparison failed.

    Examples:
      tabular-bento compare --baseline prices:v1 --candidate prices:latest --on test \\
          --not-worse --out var/compare
      tabular-bento compare --baseline prices:v1 --candidate prices:v2 --on shadow \\
          --from 2026-03-01 --to 2026-04-01 --not-worse --out var/compare
      tabular-bento compare --baseline http://127.0.0.1:3000 --candidate http://127.0.0.1:4000 \\
          --on test --sample 5000 --protocol rest-binary --equivalent --out var/compare
    """
    from tabular_bento.monitoring.comparison.job import REPORT_FILE, RESULT_FILE, run

    if equivalent == not_worse:
        raise fail("give one of --equivalent and --not-worse", WRONG_ARGUMENTS)
    mode: Mode = "equivalent" if equivalent else "not_worse"
    given = {
        "start": start,
        "end": end,
        "on": window_on,
        "traffic_dir": traffic_dir,
        "protocol": protocol,
        "baseline_grpc": baseline_grpc,
        "candidate_grpc": candidate_grpc,
        "sample": sample,
        "metric": metric,
        "margin": margin,
    }
    if unused := _unused(given, on, mode, baseline, candidate):
        raise fail(unused, WRONG_ARGUMENTS)
    try:
        found = project_if_any()
        settings = compare_settings(found, {name: value for name, value in given.items() if value is not None})
    except (CompareError, ConfigError) as error:
        raise fail(error, WRONG_ARGUMENTS) from error
    try:
        problem = found.load_problem() if found else None
        dataset = found.load_source().load(_source(candidate)) if found and on == "test" else None
        result = run(baseline, candidate, on, mode, out, settings, problem=problem, dataset=dataset)
    except (MetricError, RowsError) as error:
        raise fail(error, WRONG_ARGUMENTS) from error
    except (TabularBentoError, OSError) as error:
        raise fail(f"The comparison failed: {error}", FAILED) from error
    show_result(table(result), 10, out, (RESULT_FILE, REPORT_FILE), _summary(result) if as_json else None)
    raise typer.Exit(result.exit_code)


def _source(candidate: str) -> str | None:
    """The URI of the data that a candidate was trained on, where it is a package that names one."""
    from tabular_bento.monitoring.comparison.models import describe, is_url, located
    from tabular_bento.scoring.package import PROVENANCE_FILE

    if is_url(candidate):
        provenance = describe(candidate).get("provenance") or {}
    else:
        file = located(candidate).directory / PROVENANCE_FILE
        provenance = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    source: str | None = (provenance.get("config") or {}).get("source")
    return source


def _unused(given: dict[str, Any], on: str, mode: Mode, baseline: str, candidate: str) -> str | None:
    """What to say of the first option that has no use beside the others: it would be dropped silently."""
    from tabular_bento.monitoring.comparison.models import is_url

    logged = on in ("traffic", "shadow")
    ours, theirs = is_url(baseline), is_url(candidate)
    uses = (
        ("start", "--from", logged, "a window of the log, with --on traffic or shadow"),
        ("end", "--to", logged, "a window of the log, with --on traffic or shadow"),
        ("on", "--window-on", logged, "a window of the log, with --on traffic or shadow"),
        ("traffic_dir", "--traffic-dir", logged, "the log, with --on traffic or shadow"),
        ("sample", "--sample", not logged, "--on test and Parquet; of the log, name a window"),
        ("metric", "--metric", mode == "not_worse", "--not-worse"),
        ("margin", "--margin", mode == "not_worse", "--not-worse"),
        ("protocol", "--protocol", ours or theirs, "servers, which are named by their URLs"),
        ("baseline_grpc", "--baseline-grpc", ours, "a baseline that is named by its URL"),
        ("candidate_grpc", "--candidate-grpc", theirs, "a candidate that is named by its URL"),
    )
    for name, option, used, what in uses:
        if given[name] is not None and not used:
            return f"{option} is for {what}: leave it out."
    return None


def table(result: CompareResult) -> str:
    """A few lines for people; of a comparison for equivalence, with the worst rows."""
    from tabular_bento.evaluation.evaluators import metric_title

    rows = result.rows
    days = f" on {rows.days:,} days" if result.source.first else ""
    lines = [
        ("verdict", result.verdict.replace("_", " ")),
        ("baseline", result.baseline.name),
        ("candidate", result.candidate.name),
        ("rows", f"{rows.compared:,}, {rows.labels:,} labels{days}"),
    ]
    if result.agreement is not None:
        found = result.agreement
        by = f"by more than {result.settings['moved_by']:g}"
        far = by if found.classes_differing is None else "to another class"
        lines.append(
            (
                "moved",
                f"{found.rows_differing:,} rows differ in any bit, {found.rows_beyond:,} beyond tolerance, "
                f"{found.moved_share:.1%} {far}",
            )
        )
    for metric in result.metrics:
        bounds = f" ({metric.interval[0]:+.3f} to {metric.interval[1]:+.3f})" if metric.interval else ""
        values = f"{metric.baseline:.3f}, then {metric.candidate:.3f}: {metric.delta:+.3f}{bounds}"
        lines.append((metric_title(metric.name), f"{values}, {metric.margin:.3f} allowed"))
    lines += [("cost", f"{_COSTS[cost.name]}: {cost.ratio:.2f} times the baseline's") for cost in result.costs]
    lines += [("because", reason) for reason in result.reasons]
    lines += [("note", note) for note in result.notes]
    if result.mode == "equivalent" and result.agreement is not None:
        for worst in result.agreement.worst:
            values = f"{worst.row}: {worst.baseline:.9g}, then {worst.candidate:.9g} ({worst.delta:+.3g})"
            shown = {**worst.fields, **({"features": worst.features} if worst.features else {})}
            lines.append(("worst", f"{values} {json.dumps(shown)}"))
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)


def _summary(result: CompareResult) -> dict[str, object]:
    return {
        "verdict": result.verdict,
        "exit_code": result.exit_code,
        "mode": result.mode,
        "reasons": result.reasons,
        "rows": result.rows.compared,
        "labels": result.rows.labels,
        "metrics": {metric.name: metric.model_dump(mode="json") for metric in result.metrics},
    }
