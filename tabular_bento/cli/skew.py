"""`tabular-bento skew`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from tabular_bento.cli.common import (
    FAILED,
    WRONG_ARGUMENTS,
    End,
    Json,
    Model,
    On,
    Out,
    Start,
    TrafficDir,
    check_window,
    fail,
    load_problem,
    show_result,
    traffic_dir,
)
from tabular_bento.errors import ProjectError, TabularBentoError

if TYPE_CHECKING:
    from tabular_bento.monitoring.skew import SkewResult

_SHOWN = 5


def skew(
    start: Start,
    end: End,
    out: Out,
    on: On = "time",
    traffic: TrafficDir = None,
    model: Model = None,
    as_json: Json = False,
) -> None:
    """Recompute a window of logged predictions with their model's package, and compare to the bit.

    A difference shows that a server computed with another extractor, other code or other libraries than the package
    that it names, or that the log was changed. --out gets skew.html and skew.json, which is strict JSON. Features are
    recomputed, so it runs in the project.

    Exit codes: 0 no skew; 1 skew; 2 nothing to check (no rows, or rows of other models only), or wrong arguments;
    3 the check failed.

    Examples:
      tabular-bento skew --from 2025-07-01 --to 2025-10-01 --window-on visit --out var/skew
    """
    from tabular_bento.data.storage import path_of
    from tabular_bento.monitoring.skew import REPORT_FILE, RESULT_FILE, run
    from tabular_bento.monitoring.window.data import Query

    check_window(start, end)
    try:
        problem = load_problem()
    except ProjectError as error:
        raise fail(error, WRONG_ARGUMENTS) from error
    try:
        result = run(Query(path_of(traffic_dir(traffic, lambda: problem.name)), start, end, on), out, problem, model)
    except (TabularBentoError, OSError) as error:
        raise fail(f"The skew check failed: {error}", FAILED) from error
    keys = {"verdict", "exit_code", "model", "checked", "differing", "reasons"}
    summary = result.model_dump(mode="json", include=keys) if as_json else None
    show_result(table(result), 9, out, (RESULT_FILE, REPORT_FILE), summary)
    raise typer.Exit(result.exit_code)


def table(result: SkewResult) -> str:
    """A few lines for people."""
    lines = [
        ("verdict", result.verdict.replace("_", " ")),
        ("model", result.model or "none"),
        ("rows", f"{result.differing:,} differ of {result.checked:,}"),
    ]
    lines += [
        (
            "column",
            f"{column.name}: {column.rows:,} rows ({column.share:.1%})"
            + (f", by up to {column.largest:.6g}" if column.largest else ""),
        )
        for column in result.columns
    ]
    lines += [
        (
            "row",
            f"{example.prediction_id}: {example.column} logged {example.logged!r}, recomputed {example.recomputed!r}"
            + (f" ({example.ulps:,} units in the last place)" if example.ulps else ""),
        )
        for example in result.examples[:_SHOWN]
    ]
    lines += [("because", reason) for reason in result.reasons]
    lines += [("note", f"{count:,} {what}") for count, what in result.counts if count]
    return "\n".join(f"{name:<9} {value}" for name, value in lines)
