"""`tabular-bento drift`."""

from __future__ import annotations

import json
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from tabular_bento.cli.common import (
    FAILED,
    WRONG_ARGUMENTS,
    AsOf,
    End,
    Json,
    Memory,
    Model,
    On,
    Out,
    Scheduler,
    Spill,
    Start,
    TrafficDir,
    Workers,
    check_window,
    declaration_of,
    fail,
    project_if_any,
    show_result,
    traffic_dir,
)
from tabular_bento.errors import ConfigError, DataError, MonitoringError, ProjectError, TabularBentoError, WindowError

if TYPE_CHECKING:
    from tabular_bento.monitoring.drift.result import DriftResult
    from tabular_bento.monitoring.drift.settings import DriftSettings, OutputSettings
    from tabular_bento.monitoring.window.data import Query
    from tabular_bento.monitoring.window.scan import ExecutionOptions

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
"""An interrupt from the keyboard raises an exception by itself."""

_FORESEEN = (MonitoringError, DataError, ConfigError, ProjectError, OSError)
"""Failures that their own message explains; any other is a fault of the job, and its traceback is printed too."""


def _print_schema(wanted: bool) -> None:
    if wanted:
        from tabular_bento.monitoring.drift.result import DriftResult

        print(json.dumps(DriftResult.model_json_schema(mode="serialization"), indent=1))
        raise typer.Exit


def drift(
    start: Start,
    end: End,
    out: Out,
    on: On = "time",
    traffic: TrafficDir = None,
    model: Model = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD", help="Segment to break the window down by: rows, errors and drift of each value."
        ),
    ] = None,
    min_rows: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Rows below which the window is not judged; by default 500.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Rows that the plots are drawn from; by default 5000.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Seed of the sample and of the intervals; by default 20130101.")
    ] = None,
    maturity_hours: Annotated[
        float | None,
        typer.Option(
            metavar="H",
            help="Hours after which a label is due; by default the time within which 95 % of the labels came.",
        ),
    ] = None,
    alert_after: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="K",
            help="Alert, by exit code 1 and webhook, only where K of the last N windows drifted, this one among them; "
            "by default 1.",
        ),
    ] = None,
    of: Annotated[
        int | None, typer.Option("--of", min=1, metavar="N", help="The N of --alert-after; by default K.")
    ] = None,
    exit_on: Annotated[
        Literal["drift", "warning"] | None,
        typer.Option(
            metavar="VERDICT",
            help="Mildest verdict that ends with exit code 1: drift, which is the default, or warning.",
        ),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File that all verdicts are added to; by default history.jsonl in --out."),
    ] = None,
    textfile: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to write metrics to, for the node exporter of Prometheus.")
    ] = None,
    workspace: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Evidently workspace to add the metrics to, which `make dashboard` shows."),
    ] = None,
    webhook: Annotated[
        str | None, typer.Option(metavar="URL", help="Address that an alert is posted to as JSON.")
    ] = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    spill: Spill = None,
    memory: Memory = None,
    as_of: AsOf = None,
    schema: Annotated[  # noqa: ARG001  # its callback prints it
        bool,
        typer.Option(
            "--schema", callback=_print_schema, is_eager=True, help="Print the JSON schema of result.json, and end."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Decide whether a window of logged traffic has drifted from the data that its model was trained on.

    Predictions are compared with the labels that have arrived, too.

    --out gets report.html, the page to read; result.json, the same as strict JSON; history.jsonl, a line for each
    window; and index.html, a list of the past runs, which runs/ keeps. `tabular-bento report drift` opens the newest
    report. --textfile, --workspace and --webhook pass the verdict on.

    All rows are judged; Evidently's plots are drawn from a sample. docs/alarms.md has the rules of the verdict, the
    settings, and what to do about each finding. The command needs no project: the declaration is in the model's
    package.

    Settings are options, else TABULAR_BENTO_DRIFT_<NAME> of the environment, such as TABULAR_BENTO_DRIFT_TEXTFILE,
    else the table [drift] of monitoring/config.toml.

    Exit codes: 0 no drift, a warning, or a drift that --alert-after holds back; 1 drift, or with --exit-on warning a
    warning; 2 not enough or invalid data, or wrong arguments; 3 the job failed, a file of the log is damaged, or
    result.json could not be written.

    Another output that fails is a line on stderr, and the exit code stays that of the verdict.

    Examples:
      tabular-bento drift --from 2025-07-01 --to 2025-10-01 --window-on visit --out var/drift
      tabular-bento drift --from 2025-07-08 --to 2025-07-15 --out var/drift --alert-after 2 --of 3
    """
    from tabular_bento.data.storage import path_of
    from tabular_bento.monitoring.window.data import Query

    check_window(start, end)
    if workers is not None and scheduler is not None:
        raise fail("--workers and --scheduler exclude each other", WRONG_ARGUMENTS)
    settings, outputs = _settings(
        {"min_rows": min_rows, "sample": sample, "seed": seed, "maturity_hours": maturity_hours},
        {
            "history": history,
            "alert_after": alert_after,
            "alert_of": of,
            "exit_on": exit_on,
            "textfile": textfile,
            "workspace": workspace,
            "webhook": webhook,
        },
    )
    try:
        log = path_of(traffic_dir(traffic, lambda: declaration_of(model).name))
        with _options(workers, scheduler, spill, memory, as_of) as options:
            code = _judge(Query(log, start, end, on, by), out, model, settings, outputs, options, as_json)
    except (WindowError, ProjectError, ConfigError) as error:
        raise fail(error, WRONG_ARGUMENTS) from error
    except Exception as error:  # Python's own exit code for it, 1, would mean drift
        if outputs.textfile:
            _write_failure(outputs.textfile)
        if not isinstance(error, (*_FORESEEN, TabularBentoError)):
            traceback.print_exc()
        raise fail(f"The drift job failed: {error}", FAILED) from error
    raise typer.Exit(code)


def _settings(thresholds: dict[str, Any], outputs: dict[str, Any]) -> tuple[DriftSettings, OutputSettings]:
    """The settings, of which some are options and some the project's, where there is one."""
    from tabular_bento.monitoring.drift.settings import PREFIX, DriftSettings, OutputSettings
    from tabular_bento.monitoring.files import check_variables, read_settings, settings_of

    try:
        found = project_if_any()
        path = found.monitoring if found else None
        written, where = read_settings(path, "drift"), f"[drift] of {path}: "
        known = {**DriftSettings.model_fields, **OutputSettings.model_fields}
        if unknown := [name for name in written if name not in known]:
            raise ConfigError(f"{where}there is no setting {unknown[0]!r}; there are: {', '.join(sorted(known))}.")
        check_variables(PREFIX, known)
        return settings_of(DriftSettings, thresholds, written, where), settings_of(
            OutputSettings, outputs, written, where
        )
    except ConfigError as error:
        raise fail(error, WRONG_ARGUMENTS) from error


@contextmanager
def _options(
    workers: int | None, scheduler: str | None, spill: str | None, memory: int | None, as_of: datetime | None
) -> Iterator[ExecutionOptions]:
    """How the pass is executed. While it lasts, SIGTERM and SIGHUP end the process through its clean-up.

    Raises ClusterError where there is no such cluster.
    """
    from tabular_bento.monitoring.window.scan import MEMORY, ExecutionOptions
    from tabular_bento.monitoring.window.workers import workers as workers_of

    before = {number: signal.signal(number, _leave) for number in SIGNALS}
    try:
        with workers_of(scheduler, workers) as who:
            yield ExecutionOptions(who, spill, as_of.replace(tzinfo=UTC) if as_of else None, memory or MEMORY)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, _: Any) -> NoReturn:
    """End through the clean-up, once; a second signal must not interrupt that."""
    for other in (*SIGNALS, signal.SIGINT):
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)


def _judge(
    query: Query,
    out: Path,
    model: str | None,
    settings: DriftSettings,
    outputs: OutputSettings,
    options: ExecutionOptions,
    as_json: bool,
) -> int:
    from tabular_bento.monitoring.drift.job import REPORT_FILE, RESULT_FILE, run

    done = run(query, out, model, settings, outputs, options)
    for complaint in done.complaints:
        print(f"warning: {complaint}", file=sys.stderr)
    names = RESULT_FILE if done.written else None, REPORT_FILE if done.reported else None
    show_result(table(done.result), 8, out, names, _summary(done.result) if as_json else None)
    return done.exit_code


def _write_failure(textfile: Path) -> None:
    from tabular_bento.monitoring.drift.textfile import write_failure

    try:
        write_failure(textfile, FAILED)
    except OSError as error:
        print(f"warning: the metrics were not written: {error}", file=sys.stderr)


def table(result: DriftResult) -> str:
    from tabular_bento.evaluation.evaluators import metric_title
    from tabular_bento.pages.formats import decimals

    drifted = [f"{column.name} ({column.score:.2f})" for column in result.columns if column.drifted]
    labels, title = result.labels, metric_title(result.metric or "")
    lines = [
        f"verdict  {result.verdict}{_alert(result)}",
        f"model    {result.model or 'none'}",
        f"rows     {result.rows.scored:,}",
        f"drifted  {', '.join(drifted) or 'no column'}",
    ]
    if labels.model and labels.ratio_to_naive_baseline is not None:
        model = labels.model
        metrics = ", ".join(f"{metric_title(name)} {decimals(model.metric(name))}" for name in model.metrics)
        lines.append(
            f"errors   {metrics}, bias {decimals(model.bias, sign=True)}; {labels.ratio_to_naive_baseline:.3f} "
            f"of the naive baseline's {title}; {labels.matched:,} labels"
        )
    estimate = result.estimate
    if estimate and result.metric and (interval := estimate.metric_interval(result.metric)):
        low, high = (decimals(bound) for bound in interval)
        expected = decimals(estimate.metric(result.metric))
        lines.append(f"expected {title} {expected} ({low} to {high}), estimated without labels")
    shown = (f"{finding.label:<8} {finding.text}" for finding in result.findings if finding.severity != "note")
    return "\n".join([*lines, *shown])


def _alert(result: DriftResult) -> str:
    alert = result.alert
    if result.verdict != "drift" or alert.of == 1:
        return ""
    return f", {'an' if alert.alert else 'no'} alert: {alert.drifted} of the last {alert.windows} windows drifted"


def _summary(result: DriftResult) -> dict[str, object]:
    return {
        "verdict": result.verdict,
        "alert": result.alert.alert,
        "exit_code": result.exit_code,
        "model": result.model,
        "rows": result.rows.scored,
        "drifted": [column.name for column in result.columns if column.drifted],
        "prediction_drifted": result.decision.prediction_drifted,
        "labels": result.labels.matched,
        "ratio_to_naive_baseline": result.labels.ratio_to_naive_baseline,
        "estimated_rmse": result.estimate.rmse if result.estimate else None,
        "estimated_log_loss": result.estimate.log_loss if result.estimate else None,
        "findings": [finding.text for finding in result.findings],
    }
