"""`tabular-bento release`, `rollback` and `history`: which model serves, since when, and why."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tabular_bento.cli.common import (
    WRONG_ARGUMENTS,
    Json,
    Margin,
    Metric,
    compare_settings,
    fail,
    load_problem,
    project,
)
from tabular_bento.errors import CompareError, ConfigError

if TYPE_CHECKING:
    from tabular_bento.releasing import ReleaseResult


def release(
    tag: Annotated[str, typer.Argument(metavar="TAG", help="The model: NAME:VERSION, VERSION or latest.")],
    force: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Release without a comparison; the reason is recorded."),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="URL", help="A server that runs the champion; by default its package.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="For a copy of the report.")] = None,
    metric: Metric = None,
    margin: Margin = None,
    as_json: Json = False,
) -> None:
    """Make a model the champion, which servers take on restart or by `tabular-bento reload`.

    The package is verified as a server verifies it, then compared with the champion on the test part: it must be not
    worse, overall and in each segment. The first model has nothing to be compared with. Metric, margins and limits are
    those of `tabular-bento compare`: options, else TABULAR_BENTO_COMPARE_<NAME> of the environment, else the table
    [compare] of the project's settings of monitoring.

    A champion of other feature code cannot be computed by this project: --baseline names a server that runs it, and
    that logs the rows of the comparison like any others.

    Exit codes: 0 it is the champion; 1 refused, it is worse; 2 the comparison cannot tell, or the arguments are wrong;
    3 failed: the package, the store or the record of the champion is damaged, or another release came between.
    """
    from tabular_bento.releasing import release as move

    here = project()
    given = {name: value for name, value in {"metric": metric, "margin": margin}.items() if value is not None}
    if force is not None and given:
        raise fail(f"--{next(iter(given))} has no use where nothing is compared: leave it out.", WRONG_ARGUMENTS)
    try:
        settings = None if force is not None else compare_settings(here, given)
        problem, source = here.load_problem(), here.load_source()
        found = move(problem, tag, source, force=force, baseline=baseline, out=out, settings=settings)
    except (ValueError, CompareError, ConfigError) as error:
        raise fail(error, WRONG_ARGUMENTS) from error
    evidence = found.evidence
    if evidence is not None and evidence.exit_code:
        verdict = "is refused" if evidence.verdict == "refused" else "is not released, for the comparison cannot tell"
        reasons = "; ".join(reason.rstrip(".") for reason in evidence.reasons)
        raise fail(f"{found.tag} {verdict}: {reasons}. The report is {evidence.report}.", evidence.exit_code)
    _show(found, "is the champion", as_json)


def rollback(
    to: Annotated[
        str | None, typer.Option(metavar="TAG", help="A model that was the champion before; by default the last one.")
    ] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Is recorded.")] = None,
    as_json: Json = False,
) -> None:
    """Make the champion before this one the champion again, at once and without a comparison.

    Releases are undone one after the other: a second rollback goes back further. The package is verified first.

    Exit codes: 0 done; 2 the arguments are wrong; 3 failed: there is nothing to go back to, or it cannot be served.
    """
    from tabular_bento.releasing import rollback as move

    _show(move(load_problem(), to=to, reason=reason), "is the champion again", as_json)


def history(
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as one JSON list instead.")] = False,
) -> None:
    """List the champions, the last one first.

    Exit codes: 0 done, even where nothing was released; 3 the records are damaged.
    """
    from tabular_bento.releasing import ledger_of

    ledger = ledger_of(load_problem().name)
    records, damaged = ledger.read()
    if as_json:
        print(json.dumps([json.loads(record.to_json()) for record in reversed(records)]))
    elif not records:
        print("No model was released yet: run `tabular-bento release latest`.")
    else:
        print(f"{'':>4} {'when':<21}{'what':<10}{'model':<30}{'by':<26}on what evidence")
        for record in reversed(records):
            shown = _shown(record.evidence, ledger.folder)
            row = f"{record.time:<21}{record.action:<10}{record.tag:<30}{record.by:<26}{shown}"
            print(f"{record.number:>4} {row}")
    sys.stdout.flush()
    ledger.champion()  # says so where it is damaged
    if damaged:
        raise fail(f"{damaged} lines of {ledger.history_file} are damaged and left out.")


def _shown(evidence: dict[str, Any], folder: Path) -> str:
    """Evidence in a few words; its report as seen from the folder of the records."""
    details = [str(evidence[key]) for key in ("verdict", "reason", "report") if evidence.get(key)]
    kind = str(evidence.get("kind", ""))
    return f"{kind}: {', '.join(details)}".replace(f"{folder.absolute()}/", "") if details else kind


def _show(found: ReleaseResult, what: str, as_json: bool) -> None:
    record = found.champion
    assert record is not None
    if found.moved:
        instead = f", in the place of {record.previous}" if record.previous else ""
        print(f"{record.tag} {what}{instead}. Servers take it on restart, or by `tabular-bento reload`.")
    else:
        print(f"{record.tag} is the champion already, since {record.time}.")
    if as_json:
        print(record.to_json(), end="")
