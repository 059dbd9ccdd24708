"""python -m training release, rollback and history: which model serves, since when, and why."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.definition import NAME

from tabular_bento.errors import PackageError, ReleaseError, ScoringError
from tabular_bento.releasing import check_serves, compare_with_champion
from tabular_bento.scoring.ledger import ReleaseLedger, before
from tabular_bento.scoring.manifest import verify_manifest
from tabular_bento.scoring.releases import Release
from tabular_bento.serving.bento import find_model, store_home

RELEASE = """Make a model the champion, which servers take on restart or on SIGHUP to `bentoml serve`.

The package is verified as a server verifies it, then compared with the champion on the test months: it must be not
worse, overall and in each segment. The first model has nothing to be compared with.

A champion of other feature code cannot be computed by this checkout: --baseline names a server that runs it, and that
logs the rows of the comparison like any others."""

RELEASE_EPILOG = """\
exit codes: 0 it is the champion; 1 refused, it is worse; 2 the comparison cannot tell, or the arguments are wrong;
3 failed: the package, the store or the record of the champion is damaged, or another release came between.
"""

ROLLBACK = """Make the champion before this one the champion again, at once and without a comparison.

Releases are undone one after the other: a second rollback goes back further. The package is verified first."""

ROLLBACK_EPILOG = """\
exit codes: 0 done; 2 the arguments are wrong; 3 failed: there is nothing to go back to, or it cannot be served.
"""

HISTORY_EPILOG = """\
exit codes: 0 done, even where nothing was released; 3 the records are damaged.
"""


def add_commands(commands: Any) -> None:
    """Add the three commands to argparse's subparsers; each sets `run`."""
    command = _add(commands, "release", "make a model the champion, if it is not worse", RELEASE, RELEASE_EPILOG)
    command.add_argument("tag", metavar="TAG", help=f"the model: {NAME}:VERSION, VERSION or latest")
    command.add_argument("--force", metavar="REASON", help="release without a comparison; the reason is recorded")
    command.add_argument("--baseline", metavar="URL", help="a server that runs the champion (default: its package)")
    command.add_argument("--out", type=Path, metavar="FOLDER", help="for a copy of the report")
    _add_json(command)
    command.set_defaults(run=release)

    command = _add(
        commands, "rollback", "make the champion before this one the champion again", ROLLBACK, ROLLBACK_EPILOG
    )
    command.add_argument("--to", metavar="TAG", help="a model that was the champion before (default: the last one)")
    command.add_argument("--reason", metavar="TEXT", help="recorded")
    _add_json(command)
    command.set_defaults(run=rollback)

    command = _add(commands, "history", "list the champions", "List the champions, the last one first.", HISTORY_EPILOG)
    _add_json(command, "print the records as one JSON list instead")
    command.set_defaults(run=history)


def release(options: argparse.Namespace) -> int:
    """`python -m training release`."""
    ledger = ReleaseLedger(store_home())
    tag = _tag(options.tag)
    force = options.force is not None
    if force and not options.force.strip():
        print("training: --force wants a reason, which is recorded.", file=sys.stderr)
        return 2
    package = ledger.verify(tag)
    champion = _champion(ledger, force)
    if champion and champion.tag == tag and champion.fingerprint == package.fingerprint:
        print(f"{tag} is the champion already, since {champion.time}.")
        _print_json(options, champion)
        return 0
    if options.baseline and (force or champion is None):
        print("training: --baseline has no use where nothing is compared: leave it out.", file=sys.stderr)
        return 2
    if force:
        evidence = {"kind": "forced", "reason": options.force.strip()}
    elif champion is None:
        evidence = {"kind": "first release"}
    else:
        if options.baseline:
            check_serves(options.baseline, champion)
        else:
            _require(ledger, champion)
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        folder = ledger.evidence_folder / f"{moment}-{tag.split(':')[1]}"
        found = compare_with_champion(options.baseline or champion.tag, tag, folder, options.out)
        if found.exit_code:
            verdict = "is refused" if found.verdict == "refused" else "is not released, for the comparison cannot tell"
            reasons = "; ".join(reason.rstrip(".") for reason in found.reasons)
            print(f"training: {tag} {verdict}: {reasons}. The report is {found.report}.", file=sys.stderr)
            return found.exit_code
        evidence = found.record()
    record = ledger.move("release", package, evidence, champion, force)
    _tell(record, f"{record.tag} is the champion", options)
    return 0


def rollback(options: argparse.Namespace) -> int:
    """`python -m training rollback`."""
    ledger = ReleaseLedger(store_home())
    champion = _champion(ledger, force=options.to is not None)
    records = ledger.history()
    target = _target(records, options.to)
    if champion and champion.tag == target.tag:
        print(f"{target.tag} is the champion already, since {champion.time}.")
        _print_json(options, champion)
        return 0
    try:
        package = ledger.verify(target.tag)
        ledger.check(target, package.fingerprint)
    except (ReleaseError, PackageError) as error:
        raise ReleaseError(f"{error} `--to TAG` goes to another; `python -m training history` lists them.") from error
    evidence = {"kind": "rollback", "reason": options.reason} if options.reason else {"kind": "rollback"}
    record = ledger.move("rollback", package, evidence, champion, force=options.to is not None)
    _tell(record, f"{record.tag} is the champion again", options)
    return 0


def history(options: argparse.Namespace) -> int:
    """`python -m training history`."""
    ledger = ReleaseLedger(store_home())
    records, damaged = ledger.read()
    if options.json:
        print(json.dumps([json.loads(record.to_json()) for record in reversed(records)]))
    elif not records:
        print("No model was released yet: run `python -m training release latest`.")
    else:
        print(f"{'':>4} {'when':<21}{'what':<10}{'model':<30}{'by':<26}on what evidence")
        for record in reversed(records):
            shown = _shown(record.evidence, ledger.folder)
            row = f"{record.time:<21}{record.action:<10}{record.tag:<30}{record.by:<26}{shown}"
            print(f"{record.number:>4} {row}")
    if damaged:
        print(f"training: {damaged} lines of {ledger.history_file} are damaged and left out.", file=sys.stderr)
    ledger.champion()  # says so where it is damaged
    return 3 if damaged else 0


def _champion(ledger: ReleaseLedger, force: bool) -> Release | None:
    try:
        return ledger.champion()
    except PackageError:
        if force:
            return None
        raise


def _require(ledger: ReleaseLedger, champion: Release) -> None:
    """The champion's package must be there, and be the one that was released, to be compared with."""
    folder = ledger.package_folder(champion.tag)
    if not folder.is_dir():
        raise ReleaseError(
            f"The champion {champion.tag} is not in the store any more, so nothing can be compared with it: restore "
            "its package from a copy, roll back, or release with --force REASON."
        )
    ledger.check(champion, verify_manifest(folder))


def _target(records: list[Release], wanted: str | None) -> Release:
    if wanted is None:
        found = before(records)
        if found is None:
            raise ReleaseError(
                "There is no champion before this one to go back to; `python -m training history` lists all."
            )
        return found
    tag = wanted if ":" in wanted else f"{NAME}:{wanted}"
    for record in reversed(records):
        if record.tag == tag:
            return record
    raise ReleaseError(
        f"{tag} was never the champion: `python -m training history` lists those that were; release it instead."
    )


def _tag(wanted: str) -> str:
    """The real tag of what the command line names."""
    tag = wanted if ":" in wanted else f"{NAME}:{wanted}"
    if tag.split(":")[0] != NAME:
        raise ReleaseError(f"{tag} is no model of {NAME}: name one of `bentoml models list {NAME}`.")
    return find_model(tag).tag


def _shown(evidence: dict[str, Any], folder: Path) -> str:
    """Evidence in a few words; its report as seen from the folder of the records."""
    details = [str(evidence[key]) for key in ("verdict", "reason", "report") if evidence.get(key)]
    kind = evidence.get("kind", "")
    return f"{kind}: {', '.join(details)}".replace(f"{folder.absolute()}/", "") if details else kind


def _tell(record: Release, what: str, options: argparse.Namespace) -> None:
    instead = f", in the place of {record.previous}" if record.previous else ""
    print(f"{what}{instead}. Servers take it on restart, or on SIGHUP to `bentoml serve`.")
    _print_json(options, record)


def _print_json(options: argparse.Namespace, record: Release) -> None:
    if options.json:
        print(record.to_json(), end="")


def _add(commands: Any, name: str, summary: str, description: str, epilog: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return command


def _add_json(command: argparse.ArgumentParser, text: str = "end with the record as JSON on the last line") -> None:
    command.add_argument("--json", action="store_true", help=text)


def run_command(options: argparse.Namespace) -> int:
    """Run the command that was chosen; what it raises is told in one sentence."""
    try:
        code: int = options.run(options)
    except (ReleaseError, ScoringError, OSError) as error:
        print(f"training: {error}", file=sys.stderr)
        return 3
    return code
