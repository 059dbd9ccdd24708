"""Releases of small models; what a comparison finds is given."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tabular_bento import releasing
from tabular_bento.data import Dataset
from tabular_bento.errors import CompareError, ReleaseError
from tabular_bento.monitoring.comparison import job
from tabular_bento.releasing import ledger_of, release, rollback
from tests.unit import models
from tests.unit.models import PRICES

FIRST, SECOND = "prices:first", "prices:second"


class Rows:
    """A source that counts how often it is read."""

    def __init__(self) -> None:
        self.read: list[str | None] = []

    def load(self, uri: str | None = None) -> Dataset:
        self.read.append(uri)
        return models.prices()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with two models, none released."""
    home = tmp_path / "home"
    monkeypatch.setenv("BENTOML_HOME", str(home))
    models.store_of_two(home, models.trained())
    return home


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the next comparisons find: a verdict, or an error."""
    found: list[Any] = []

    def run(baseline: str, candidate: str, source: str, mode: str, out: Path, _: Any, **given: Any) -> Any:
        assert (source, mode, given["problem"], len(given["dataset"])) == ("test", "not_worse", PRICES, models.ROWS)
        verdict = found.pop(0)
        if isinstance(verdict, Exception):
            raise verdict
        out.mkdir(parents=True)
        (out / job.RESULT_FILE).write_text(json.dumps([baseline, candidate, verdict]))
        code = {"accepted": 0, "refused": 1, "cannot_tell": 2}[verdict]
        return SimpleNamespace(verdict=verdict, exit_code=code, reasons=["why"])

    monkeypatch.setattr(job, "run", run)
    return found


def test_the_first_release_has_nothing_to_be_compared_with(home: Path) -> None:
    source = Rows()
    found = release(PRICES, "latest", source)
    assert (found.tag, found.moved, found.exit_code, found.evidence) == (FIRST, True, 0, None)
    assert found.champion is not None
    assert found.champion.evidence == {"kind": "first release"}
    assert source.read == []
    again = release(PRICES, "first", source)
    assert (again.moved, again.champion) == (False, found.champion)
    assert home.joinpath("releases", "prices", "champion.json").is_file()


@pytest.mark.usefixtures("home")
def test_a_model_that_is_not_worse_becomes_the_champion_with_its_report(verdicts: list[Any], tmp_path: Path) -> None:
    source = Rows()
    release(PRICES, FIRST, source)
    verdicts.append("accepted")
    found = release(PRICES, SECOND, source, out=tmp_path / "copy")
    assert found.champion is not None
    assert (found.moved, found.champion.tag, found.champion.previous) == (True, SECOND, FIRST)
    evidence = found.champion.evidence
    assert (evidence["kind"], evidence["verdict"]) == ("compare", "accepted")
    assert json.loads(Path(evidence["report"]).read_text()) == [FIRST, SECOND, "accepted"]
    assert (tmp_path / "copy" / job.RESULT_FILE).is_file()
    assert source.read == [None]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(("verdict", "code"), [("refused", 1), ("cannot_tell", 2)])
def test_another_verdict_moves_nothing(verdicts: list[Any], verdict: str, code: int) -> None:
    release(PRICES, FIRST, Rows())
    verdicts.append(verdict)
    found = release(PRICES, SECOND, Rows())
    assert found.evidence is not None
    assert (found.moved, found.exit_code, found.evidence.reasons) == (False, code, ["why"])
    assert [record.tag for record in ledger_of("prices").history()] == [FIRST]
    forced = release(PRICES, SECOND, Rows(), force=" it must be ")
    assert forced.champion is not None
    assert forced.champion.evidence == {"kind": "forced", "reason": "it must be"}


@pytest.mark.usefixtures("home")
def test_what_keeps_the_comparison_from_being_made_is_reported(verdicts: list[Any]) -> None:
    release(PRICES, FIRST, Rows())
    verdicts.append(CompareError("there are no rows"))
    with pytest.raises(ReleaseError, match=rf"{SECOND} cannot be compared with {FIRST}: there are no rows"):
        release(PRICES, SECOND, Rows())


@pytest.mark.usefixtures("home")
def test_arguments_without_a_use_are_refused() -> None:
    with pytest.raises(ValueError, match="--force wants a reason"):
        release(PRICES, FIRST, Rows(), force=" ")
    with pytest.raises(ValueError, match="--baseline has no use"):
        release(PRICES, FIRST, Rows(), baseline="http://127.0.0.1:1")
    release(PRICES, FIRST, Rows())
    with pytest.raises(ReleaseError, match="is no URL"):
        release(PRICES, SECOND, Rows(), baseline="latest")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("tag", ["other:first", "parcels:latest"])
def test_a_model_of_another_problem_is_refused(tag: str) -> None:
    with pytest.raises(ReleaseError, match=f"{tag} is no model of prices"):
        release(PRICES, tag, Rows())


@pytest.mark.usefixtures("home")
def test_a_rollback_goes_back_and_says_where_there_is_nothing_to_go_back_to() -> None:
    with pytest.raises(ReleaseError, match="no champion before this one"):
        rollback(PRICES)
    release(PRICES, FIRST, Rows())
    release(PRICES, SECOND, Rows(), force="now")
    found = rollback(PRICES, reason="slow")
    assert found.champion is not None
    assert (found.tag, found.champion.tag, found.champion.evidence) == (
        FIRST,
        FIRST,
        {"kind": "rollback", "reason": "slow"},
    )
    assert rollback(PRICES, to="first").moved is False
    with pytest.raises(ReleaseError, match="prices:third was never the champion"):
        rollback(PRICES, to="third")
    assert releasing.ledger_of("prices").champion() == found.champion


def test_a_package_that_was_altered_is_not_released(home: Path) -> None:
    path = models.folder_of(home, SECOND) / "runner" / "model.ubj"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ReleaseError, match=r"prices:second cannot be served: .*model\.ubj is damaged"):
        release(PRICES, SECOND, Rows(), force="now")
