"""The command `python -m monitoring skew`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from tabular_bento.errors import DataError, MonitoringError, ScoringError
from tabular_bento.monitoring.arguments import FAILED, add_command, add_window, fail

if TYPE_CHECKING:
    from tabular_bento.monitoring.skew.result import SkewResult

_SHOWN = 5

_DESCRIPTION = """Recompute a window of logged traffic with the model's own package, and compare to the bit.

Finds a server that computed with another extractor, other code or other libraries than the package it names, and a log
that was changed. Writes skew.json (strict JSON; its schema is in monitoring/skew/result.py) into --out."""

_EPILOG = """exit code: 0 no skew; 1 skew; 2 nothing to check (no rows, or of other models only), or wrong arguments;
3 the check failed, and one sentence on stderr says why.

environment: TRAFFIC_DIR, BENTOML_HOME.

example: python -m monitoring skew --from 2013-07-01 --to 2013-10-01 --on sched_dep --out var/skew"""


def add_skew(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of the evaluation layer."""
    command = add_command(
        commands, "skew", "recompute logged traffic offline and compare to the bit", _DESCRIPTION, _EPILOG
    )
    add_window(command)
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for skew.json")
    command.add_argument("--json", action="store_true", help="end with one JSON object on the last line")
    command.set_defaults(run=_skew)


def _skew(arguments: argparse.Namespace) -> int:
    from tabular_bento.monitoring.skew.job import RESULT_FILE, run
    from tabular_bento.monitoring.window.data import Query

    if arguments.start >= arguments.end:
        return fail("--from must be before --to", 2)
    query = Query(arguments.traffic_dir, arguments.start, arguments.end, arguments.on)
    try:
        result = run(query, arguments.out, arguments.model)
    except (MonitoringError, DataError, ScoringError, OSError) as error:
        return fail(f"The skew check failed: {error}", FAILED)
    print(table(result))
    print(f"result    {arguments.out / RESULT_FILE}")
    if arguments.json:
        keys = {"verdict", "exit_code", "model", "checked", "differing", "reasons"}
        print(json.dumps({**result.model_dump(mode="json", include=keys), "result": str(arguments.out / RESULT_FILE)}))
    return result.exit_code


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
    counts = (
        (result.unusable, "rows lack a value that every request has"),
        (result.bad, "lines of the log cannot be read"),
        (sum(result.other_models.values()), "rows are of other models"),
        (result.not_finite, "rows have an infinite feature, which the log writes as missing"),
    )
    lines += [("note", f"{count:,} {what}") for count, what in counts if count]
    return "\n".join(f"{name:<9} {value}" for name, value in lines)
