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
    tag: Annotated[str, typer.Argument(metavar="TAG", help="Model of the store: NAME:VERSION, VERSION or latest.")],
    force: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Release without a comparison, for this reason, which the history keeps."),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Server that runs the champion, to compare with; by default its package is computed."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for a copy of the report.")] = None,
    metric: Metric = None,
    margin: Margin = None,
    as_json: Json = False,
) -> None:
    """Make a model the champion, which servers load on restart or by `tabular-bento reload`.

    The package is verified as a server verifies it. Then it is compared with the champion on the test part: it must
    not be worse, overall and in each segment. The first model is released without a comparison.

    Settings are those of `tabular-bento compare`: options, else TABULAR_BENTO_COMPARE_<NAME> of the environment, else
    the table [compare] of monitoring/config.toml.

    A champion that was made by other feature code cannot be computed by this project. Name a server that runs it by
    --baseline; it logs the rows of the comparison like any others.

    Exit codes: 0 it is the champion; 1 refused, it is worse; 2 the comparison cannot tell, or wrong arguments;
    3 failed: a package, the store or the record of the champion is damaged, or another release came between.

    Examples:
      tabular-bento release latest
      tabular-bento release latest --baseline http://staging:3000
      tabular-bento release latest --force "the first data of the new sensor"
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
        str | None,
        typer.Option(metavar="TAG", help="Earlier champion to go back to, NAME:VERSION; by default the previous one."),
    ] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; the history keeps it.")] = None,
    as_json: Json = False,
) -> None:
    """Make the previous champion the champion again, without a comparison.

    Releases are undone one after the other: a second rollback goes back further. The package is verified first.
    Servers load it on restart or by `tabular-bento reload`.

    Exit codes: 0 done; 2 wrong arguments; 3 failed: there is nothing to go back to, or it cannot be served.

    Examples:
      tabular-bento rollback --reason "p99 doubled"
    """
    from tabular_bento.releasing import rollback as move

    _show(move(load_problem(), to=to, reason=reason), "is the champion again", as_json)


def history(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list instead.")] = False,
) -> None:
    """List the champions, the newest first: when, what, which model, by whom and on what evidence.

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
