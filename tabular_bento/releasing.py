"""Releases: a package is verified, compared with the champion, and becomes it; or the one before becomes it again."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabular_bento.data import Source
from tabular_bento.errors import PackageError, ReleaseError, TabularBentoError
from tabular_bento.problem import Problem
from tabular_bento.scoring.ledger import ReleaseLedger, before
from tabular_bento.scoring.manifest import verify_manifest
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.releases import Release
from tabular_bento.scoring.store import find_model, store_home

if TYPE_CHECKING:
    from tabular_bento.monitoring.comparison.settings import CompareSettings


@dataclass(frozen=True)
class Evidence:
    """What a comparison with the champion found.

    Parameters
    ----------
    verdict : str
        `accepted`, `refused` or `cannot_tell`.
    exit_code : int
        0, 1 or 2.
    reasons : list of str
        Why.
    report : Path
        The result that shows it.
    """

    verdict: str
    exit_code: int
    reasons: list[str]
    report: Path

    def record(self) -> dict[str, Any]:
        """What the record of a release holds of it."""
        digest = hashlib.sha256(self.report.read_bytes()).hexdigest()
        return {"kind": "compare", "verdict": self.verdict, "report": str(self.report), "sha256": digest}


@dataclass(frozen=True)
class ReleaseResult:
    """What came of a release or a rollback.

    Parameters
    ----------
    tag : str
        The model that was asked for.
    champion : Release or None
        The champion now; None where nothing was ever released.
    moved : bool
        Whether it is another than before.
    evidence : Evidence, optional
        Of the comparison, where there was one. Where nothing moved, it says why.
    """

    tag: str
    champion: Release | None
    moved: bool
    evidence: Evidence | None = None

    @property
    def exit_code(self) -> int:
        """0 where the model that was asked for is the champion, otherwise that of the comparison."""
        return 0 if self.evidence is None else self.evidence.exit_code


def ledger_of(name: str) -> ReleaseLedger:
    """The records of the model `name` beside the store."""
    return ReleaseLedger(store_home(), name)


def release(
    problem: Problem,
    tag: str,
    source: Source,
    *,
    force: str | None = None,
    baseline: str | None = None,
    out: Path | None = None,
    settings: CompareSettings | None = None,
) -> ReleaseResult:
    """Make a model the champion, if it is not worse on the test part than the one that is.

    The package is verified as a server verifies it. The first model has nothing to be compared with.

    Parameters
    ----------
    problem : Problem
        What the model predicts.
    tag : str
        `NAME:VERSION`, `VERSION` or `latest`.
    source : Source
        The project's data source, read where there is something to compare.
    force : str, optional
        A reason to release without a comparison, which is recorded.
    baseline : str, optional
        URL of a server that runs the champion, where this code cannot compute it.
    out : Path, optional
        For a copy of the report.
    settings : CompareSettings, optional
        Of the comparison: its metric and margins; by default those of the environment.

    Raises
    ------
    ValueError
        For an empty reason, or a baseline where nothing is compared.
    MetricError
        For a metric that the task does not have.
    ReleaseError, PackageError
        Where the package cannot be served, the two cannot be compared, the record of the champion is damaged, or
        another release came between.
    """
    if settings is not None:
        _check_metric(problem, settings)
    ledger = ledger_of(problem.name)
    tag = _tag(tag, problem.name)
    if force is not None and not force.strip():
        raise ValueError("--force wants a reason, which is recorded.")
    package = ledger.verify(tag, problem)
    champion = _champion(ledger, force is not None)
    if champion and champion.tag == tag and champion.fingerprint == package.fingerprint:
        return ReleaseResult(tag, champion, moved=False)
    if baseline and (force is not None or champion is None):
        raise ValueError("--baseline has no use where nothing is compared: leave it out.")
    found = None
    if force is not None:
        evidence = {"kind": "forced", "reason": force.strip()}
    elif champion is None:
        evidence = {"kind": "first release"}
    else:
        if baseline:
            check_serves(baseline, champion)
        else:
            _require(ledger, champion)
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        folder = ledger.evidence_folder / f"{moment}-{tag.split(':')[1]}"
        found = compare_with_champion(baseline or champion.tag, package, source, folder, out, settings)
        if found.exit_code:
            return ReleaseResult(tag, champion, moved=False, evidence=found)
        evidence = found.record()
    record = ledger.move("release", package, evidence, champion, force is not None)
    return ReleaseResult(tag, record, moved=True, evidence=found)


def rollback(problem: Problem, *, to: str | None = None, reason: str | None = None) -> ReleaseResult:
    """Make the champion before this one the champion again, at once and without a comparison.

    Releases are undone one after the other: a second rollback goes back further. The package is verified first.

    Parameters
    ----------
    problem : Problem
        What the model predicts.
    to : str, optional
        A model that was the champion before; by default the last one.
    reason : str, optional
        Is recorded.

    Raises
    ------
    ReleaseError, PackageError
        Where there is nothing to go back to, or it cannot be served.
    """
    ledger = ledger_of(problem.name)
    champion = _champion(ledger, force=to is not None)
    target = _target(ledger.history(), to, problem.name)
    if champion and champion.tag == target.tag:
        return ReleaseResult(target.tag, champion, moved=False)
    try:
        package = ledger.verify(target.tag, problem)
        ledger.check(target, package.fingerprint)
    except (ReleaseError, PackageError) as error:
        raise ReleaseError(f"{error} `--to TAG` goes to another; `tabular-bento history` lists them.") from error
    evidence = {"kind": "rollback", "reason": reason} if reason else {"kind": "rollback"}
    record = ledger.move("rollback", package, evidence, champion, force=to is not None)
    return ReleaseResult(target.tag, record, moved=True)


def check_serves(url: str, champion: Release) -> None:
    """Check that a server runs the champion.

    Raises
    ------
    ReleaseError
        Where no server listens at `url`, or one that serves another package.
    """
    from tabular_bento.client import Client

    if not url.startswith(("http://", "https://")):
        raise ReleaseError(f"--baseline {url} is no URL: name a server that runs {champion.tag}, or leave it out.")
    try:
        with Client(url) as client:
            served = client.model()
    except TabularBentoError as error:
        raise ReleaseError(str(error)) from error
    if served.get("fingerprint") != champion.fingerprint:
        raise ReleaseError(
            f"{url} serves {served.get('tag')}, which is not the package of the champion {champion.tag}: name a server "
            "that runs that."
        )


def compare_with_champion(
    champion: str,
    candidate: ModelPackage,
    source: Source,
    folder: Path,
    copy: Path | None = None,
    settings: CompareSettings | None = None,
) -> Evidence:
    """Compare two models on the test part.

    Parameters
    ----------
    champion : str
        Its tag, or the URL of a server that runs it.
    candidate : ModelPackage
        The other model.
    source : Source
        The project's data source, which is read where the candidate was trained from.
    folder : Path
        Where the report is left.
    copy : Path, optional
        For a copy of it.
    settings : CompareSettings, optional
        By default those of the environment.

    Raises
    ------
    ReleaseError
        Where they cannot be compared or the report cannot be written.
    """
    from tabular_bento.monitoring.comparison.job import RESULT_FILE, run

    try:
        dataset = source.load(candidate.provenance["config"]["source"])
        result = run(
            champion, candidate.tag, "test", "not_worse", folder, settings, problem=candidate.problem, dataset=dataset
        )
        if copy is not None:
            shutil.copytree(folder, copy, dirs_exist_ok=True)
    except (TabularBentoError, OSError) as error:
        raise ReleaseError(f"{candidate.tag} cannot be compared with {champion}: {error}") from error
    return Evidence(result.verdict, result.exit_code, list(result.reasons), (folder / RESULT_FILE).absolute())


def _check_metric(problem: Problem, settings: CompareSettings) -> None:
    from tabular_bento.evaluation.evaluators import evaluator_of
    from tabular_bento.monitoring.comparison.decision import decisive_metrics

    decisive_metrics(evaluator_of(problem.task), settings)


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


def _target(records: list[Release], wanted: str | None, name: str) -> Release:
    if wanted is None:
        found = before(records)
        if found is None:
            raise ReleaseError("There is no champion before this one to go back to; `tabular-bento history` lists all.")
        return found
    tag = wanted if ":" in wanted else f"{name}:{wanted}"
    for record in reversed(records):
        if record.tag == tag:
            return record
    raise ReleaseError(
        f"{tag} was never the champion: `tabular-bento history` lists those that were; release it instead."
    )


def _tag(wanted: str, name: str) -> str:
    """The real tag of what was asked for."""
    tag = wanted if ":" in wanted else f"{name}:{wanted}"
    if tag.split(":")[0] != name:
        raise ReleaseError(f"{tag} is no model of {name}: name one of `bentoml models list {name}`.")
    return find_model(tag).tag
