"""`tabular-bento release`, `rollback` and `history`: which model serves, since when, and why."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tabular_bento.cli.common import FAILED, WRONG_ARGUMENTS, Json, fail, load_problem
from tabular_bento.errors import PackageError, ReleaseError

if TYPE_CHECKING:
    from tabular_bento.scoring.ledger import ReleaseLedger
    from tabular_bento.scoring.releases import Release

_TAKE = "Servers take it on restart, or by `tabular-bento reload`."


def release(
    tag: Annotated[str, typer.Argument(metavar="TAG", help="The model: NAME:VERSION, VERSION or latest.")],
    force: Annotated[
        str | None, typer.Option(metavar="REASON", help="Release without a comparison; the reason is recorded.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="URL", help="A server that runs the champion; by default its package is used.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="For a copy of the report.")] = None,
    as_json: Json = False,
) -> None:
    """Make a model the champion, which servers take on restart or by `tabular-bento reload`.

    The package is verified as a server verifies it, then compared with the champion on the test part: it must be not
    worse, overall and in each segment. The first model has nothing to be compared with.

    A champion of other feature code cannot be computed by this checkout: --baseline names a server that runs it, and
    that logs the rows of the comparison like any others.

    Exit codes: 0 it is the champion; 1 refused, it is worse; 2 the comparison cannot tell, or the arguments are
    wrong; 3 failed: the package, the store or the record of the champion is damaged, or another release came between.
    """
    from tabular_bento.releasing import check_serves, compare_with_champion
    from tabular_bento.scoring.ledger import ReleaseLedger
    from tabular_bento.scoring.store import store_home

    if force is not None and not force.strip():
        raise fail("--force wants a reason, which is recorded.", WRONG_ARGUMENTS)
    problem = load_problem()
    ledger = ReleaseLedger(store_home(), problem.name)
    tag = _tag(tag, problem.name)
    package = ledger.verify(tag, problem)
    champion = _champion(ledger, force is not None)
    if champion and champion.tag == tag and champion.fingerprint == package.fingerprint:
        print(f"{tag} is the champion already, since {champion.time}.")
        _print_json(champion, as_json)
        return
    if baseline and (force is not None or champion is None):
        raise fail("--baseline has no use where nothing is compared: leave it out.", WRONG_ARGUMENTS)
    if force is not None:
        evidence = {"kind": "forced", "reason": force.strip()}
    elif champion is None:
        evidence = {"kind": "first release"}
    else:
        if baseline:
            check_serves(baseline, champion)
        else:
            _require(ledger, champion)
        time = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        folder = ledger.evidence_folder / f"{time}-{tag.split(':')[1]}"
        found = compare_with_champion(baseline or champion.tag, tag, folder, out)
        if found.exit_code:
            verdict = "is refused" if found.verdict == "refused" else "is not released, for the comparison cannot tell"
            reasons = "; ".join(reason.rstrip(".") for reason in found.reasons)
            raise fail(f"{tag} {verdict}: {reasons}. The report is {found.report}.", found.exit_code)
        evidence = found.record()
    record = ledger.move("release", package, evidence, champion, force is not None)
    _report(record, f"{record.tag} is the champion", as_json)


def rollback(
    to: Annotated[
        str | None, typer.Option(metavar="TAG", help="A model that was the champion before; by default the last one.")
    ] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Recorded.")] = None,
    as_json: Json = False,
) -> None:
    """Make the champion before this one the champion again, at once and without a comparison.

    Releases are undone one after the other: a second rollback goes back further. The package is verified first.

    Exit codes: 0 done; 2 the arguments are wrong; 3 failed: there is nothing to go back to, or it cannot be served.
    """
    from tabular_bento.scoring.ledger import ReleaseLedger
    from tabular_bento.scoring.store import store_home

    problem = load_problem()
    ledger = ReleaseLedger(store_home(), problem.name)
    champion = _champion(ledger, force=to is not None)
    target = _target(ledger, to)
    if champion and champion.tag == target.tag:
        print(f"{target.tag} is the champion already, since {champion.time}.")
        _print_json(champion, as_json)
        return
    try:
        package = ledger.verify(target.tag, problem)
        ledger.check(target, package.fingerprint)
    except (ReleaseError, PackageError) as error:
        raise ReleaseError(f"{error} `--to TAG` goes to another; `tabular-bento history` lists them.") from error
    evidence = {"kind": "rollback", "reason": reason} if reason else {"kind": "rollback"}
    record = ledger.move("rollback", package, evidence, champion, force=to is not None)
    _report(record, f"{record.tag} is the champion again", as_json)


def history(
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as one JSON list instead.")] = False,
) -> None:
    """List the champions, the last one first.

    Exit codes: 0 done, even where nothing was released; 3 the records are damaged.
    """
    from tabular_bento.scoring.ledger import ReleaseLedger
    from tabular_bento.scoring.store import store_home

    ledger = ReleaseLedger(store_home(), load_problem().name)
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
    ledger.champion()  # raises where it is damaged
    if damaged:
        raise fail(f"{damaged} lines of {ledger.history_file} are damaged and left out.", FAILED)


def _champion(ledger: ReleaseLedger, force: bool) -> Release | None:
    try:
        return ledger.champion()
    except PackageError:
        if force:
            return None
        raise


def _require(ledger: ReleaseLedger, champion: Release) -> None:
    """The champion's package must be there, and be the one that was released, to be compared with."""
    from tabular_bento.scoring.manifest import verify_manifest

    folder = ledger.package_folder(champion.tag)
    if not folder.is_dir():
        raise ReleaseError(
            f"The champion {champion.tag} is not in the store any more, so nothing can be compared with it: restore "
            "its package from a copy, roll back, or release with --force REASON."
        )
    ledger.check(champion, verify_manifest(folder))


def _target(ledger: ReleaseLedger, wanted: str | None) -> Release:
    from tabular_bento.scoring.ledger import before

    records = ledger.history()
    if wanted is None:
        found = before(records)
        if found is None:
            raise ReleaseError("There is no champion before this one to go back to; `tabular-bento history` lists all.")
        return found
    tag = wanted if ":" in wanted else f"{ledger.name}:{wanted}"
    for record in reversed(records):
        if record.tag == tag:
            return record
    raise ReleaseError(
        f"{tag} was never the champion: `tabular-bento history` lists those that were; release it instead."
    )


def _tag(wanted: str, name: str) -> str:
    """The real tag of what the command line names."""
    from tabular_bento.scoring.store import find_model

    tag = wanted if ":" in wanted else f"{name}:{wanted}"
    if tag.split(":")[0] != name:
        raise ReleaseError(f"{tag} is no model of {name}: name one of `bentoml models list {name}`.")
    return find_model(tag).tag


def _shown(evidence: dict[str, Any], folder: Path) -> str:
    """Evidence in a few words; its report as seen from the folder of the records."""
    details = [str(evidence[key]) for key in ("verdict", "reason", "report") if evidence.get(key)]
    kind = evidence.get("kind", "")
    return f"{kind}: {', '.join(details)}".replace(f"{folder.absolute()}/", "") if details else kind


def _report(record: Release, what: str, as_json: bool) -> None:
    instead = f", in the place of {record.previous}" if record.previous else ""
    print(f"{what}{instead}. {_TAKE}")
    _print_json(record, as_json)


def _print_json(record: Release, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(record.to_json())
