"""tabular-bento release, rollback and history, on stores of their own."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tabular_bento.errors import PackageError
from tabular_bento.scoring.ledger import ReleaseLedger
from tests.models import ROOT, run_command
from tests.releases import (
    CANDIDATE,
    add_candidate,
    champion,
    check_one_line,
    command,
    folder_of,
    release,
    store_of_two,
    tags,
)

POOR = "flights:poor"


@pytest.fixture(autouse=True)
def month_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small model's test part is a month; how long a prediction takes on a busy machine decides nothing."""
    monkeypatch.setenv("TABULAR_BENTO_COMPARE_MIN_DAYS", "28")
    monkeypatch.setenv("TABULAR_BENTO_COMPARE_MAX_LATENCY_RATIO", "1000")


@pytest.fixture
def store(trained: dict[str, Any], tmp_path: Path) -> Path:
    """Two models, none released."""
    return store_of_two(trained["tag"], tmp_path / "store")


def test_the_first_release_has_nothing_to_be_compared_with_and_is_recorded(
    trained: dict[str, Any], store: Path
) -> None:
    result = command(store, "release", "latest", "--json")
    record = json.loads(result.stdout.splitlines()[-1])

    assert champion(store) == record["tag"] == trained["tag"]
    assert record["fingerprint"] == trained["fingerprint"]
    assert record["previous"] is None
    assert record["evidence"] == {"kind": "first release"}
    assert record["by"].count("@") == 1
    assert record["time"].endswith("Z")
    again = command(store, "release", trained["tag"])
    assert "is the champion already" in again.stdout
    assert len(tags(store)) == 1


def test_a_model_that_is_not_worse_is_released_with_its_report_as_evidence(
    trained: dict[str, Any], store: Path, tmp_path: Path
) -> None:
    release(store, trained["tag"])
    same = "flights:rebuilt"
    add_candidate(store, trained["tag"], same, share=0.99)
    result = command(store, "release", same, "--json", "--out", str(tmp_path / "report"))
    record = json.loads(result.stdout.splitlines()[-1])

    evidence = record["evidence"]
    report = Path(evidence["report"])
    assert champion(store) == same
    assert record["previous"] == trained["tag"]
    assert (evidence["kind"], evidence["verdict"]) == ("compare", "accepted")
    assert report.is_relative_to(store / "releases" / "flights" / "evidence")
    assert evidence["sha256"] == hashlib.sha256(report.read_bytes()).hexdigest()
    assert json.loads(report.read_text())["verdict"] == "accepted"
    assert report.with_name("compare.html").exists()
    assert (tmp_path / "report" / "compare.json").read_bytes() == report.read_bytes()
    shown = command(store, "history").stdout
    assert f"compare: accepted, evidence/{report.parent.name}/compare.json" in shown


def test_a_worse_model_is_refused_with_reasons_and_the_report_unless_forced(
    trained: dict[str, Any], store: Path, tmp_path: Path
) -> None:
    release(store, trained["tag"])
    add_candidate(store, trained["tag"], POOR, share=0.05)
    result = command(store, "release", POOR, "--out", str(tmp_path / "report"), expect=1)

    check_one_line(result, f"{POOR} is refused: ")
    assert "RMSE" in result.stderr
    (report,) = ReleaseLedger(store, "flights").evidence_folder.glob("*-poor/compare.json")
    assert f"The report is {report}." in result.stderr
    assert (tmp_path / "report" / "compare.json").read_bytes() == report.read_bytes()
    assert (tmp_path / "report" / "compare.html").exists()
    assert champion(store) == trained["tag"]

    command(store, "release", POOR, "--force", "the other one crashes")
    assert champion(store) == POOR
    assert ReleaseLedger(store, "flights").history()[-1].evidence == {
        "kind": "forced",
        "reason": "the other one crashes",
    }
    assert "forced: the other one crashes" in command(store, "history").stdout


def test_where_the_comparison_cannot_tell_the_command_ends_with_2(
    trained: dict[str, Any], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(store, trained["tag"])
    monkeypatch.setenv("TABULAR_BENTO_COMPARE_MIN_LABELS", "1000000000")
    result = command(store, "release", CANDIDATE, expect=2, alone=True)
    check_one_line(result, f"{CANDIDATE} is not released, for the comparison cannot tell: ")
    assert champion(store) == trained["tag"]


def test_what_keeps_the_comparison_from_being_made_ends_with_3(
    trained: dict[str, Any], store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(store, trained["tag"])
    (tmp_path / "file").write_text("in the way")
    result = command(store, "release", CANDIDATE, "--out", str(tmp_path / "file" / "report"), expect=3)
    check_one_line(result, "Not a directory")
    monkeypatch.setenv("TABULAR_BENTO_COMPARE_MARGIN", "-1")
    check_one_line(command(store, "release", CANDIDATE, expect=2), "TABULAR_BENTO_COMPARE_MARGIN: ")
    result = command(store, "release", CANDIDATE, "--force", "now", "--metric", "mae", expect=2)
    check_one_line(result, "--metric has no use where nothing is compared")
    assert champion(store) == trained["tag"]


def test_a_metric_that_the_task_does_not_have_is_refused_before_anything_is_computed(
    trained: dict[str, Any], store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(store, trained["tag"])
    known = "metric: 'log_loss' is not compared for this task; name 'rmse' or 'mae'."
    report = tmp_path / "report"
    check_one_line(command(store, "release", CANDIDATE, "--metric", "log_loss", "--out", str(report), expect=2), known)
    monkeypatch.setenv("TABULAR_BENTO_COMPARE_METRIC", "log_loss")
    check_one_line(command(store, "release", CANDIDATE, "--out", str(report), expect=2), known)
    both = ("--baseline", trained["tag"], "--candidate", CANDIDATE, "--on", "test", "--not-worse")
    check_one_line(command(store, "compare", *both, "--out", str(report), expect=2), known)
    assert not report.exists()
    assert len(tags(store)) == 1


@pytest.mark.slow
def test_metric_and_margins_are_those_of_the_project_s_table_unless_an_option_names_others(
    trained: dict[str, Any], store: Path, tmp_path: Path
) -> None:
    release(store, trained["tag"])
    add_candidate(store, trained["tag"], POOR, share=0.05)
    project = tmp_path / "project"
    for name in ("features", "training", "monitoring"):
        shutil.copytree(ROOT / name, project / name)
    shutil.copy(ROOT / "pyproject.toml", project)
    with (project / "monitoring" / "config.toml").open("a") as file:
        file.write('[compare]\nmetric = "rmse"\nmargin = 0.5\nsegment_margin = 10.0\nmin_days = 28\n')

    def settings_of(*options: str) -> tuple[str, float, float]:
        """The metric and the margins of the report that a release leaves, whatever its verdict."""
        folder = tmp_path / f"report{len(options)}"
        given = (*options, "--out", str(folder))
        run_command("release", POOR, *given, cwd=project, BENTOML_HOME=str(store), PYTHONPATH=str(ROOT))
        settings = json.loads((folder / "compare.json").read_text())["settings"]
        return settings["metric"], settings["margin"], settings["segment_margin"]

    assert settings_of("--metric", "mae", "--margin", "1e-6") == ("mae", 1e-6, 10.0)
    release(store, trained["tag"])
    assert settings_of() == ("rmse", 0.5, 10.0)
    assert champion(store) == POOR


@pytest.mark.parametrize("arguments", [["flights:nothing"], ["other:model"], ["no tag!"], ["latest", "--force", " "]])
def test_what_cannot_be_released_is_reported_in_one_line(store: Path, arguments: list[str]) -> None:
    result = command(store, "release", *arguments, expect=2 if "--force" in arguments else 3)
    check_one_line(result, "--force wants a reason" if "--force" in arguments else arguments[0])
    assert champion(store) is None


def test_a_damaged_package_is_not_released_even_by_force(store: Path) -> None:
    path = folder_of(store, CANDIDATE) / "extractor.npz"
    path.write_bytes(path.read_bytes()[:-1])
    result = command(store, "release", CANDIDATE, "--force", "now", expect=3)
    check_one_line(result, f"{CANDIDATE} cannot be served: ")
    assert "extractor.npz is damaged" in result.stderr
    assert champion(store) is None


def test_rollbacks_go_back_one_release_after_the_other(trained: dict[str, Any], store: Path) -> None:
    first, third = trained["tag"], "flights:third"
    add_candidate(store, first, third, share=0.5)
    for tag in (first, CANDIDATE, third):
        release(store, tag)
    record = json.loads(command(store, "rollback", "--reason", "p99", "--json").stdout.splitlines()[-1])
    assert (record["action"], record["tag"], record["previous"]) == ("rollback", CANDIDATE, third)
    assert record["evidence"] == {"kind": "rollback", "reason": "p99"}
    command(store, "rollback")
    assert champion(store) == first
    check_one_line(command(store, "rollback", expect=3), "no champion before this one")
    command(store, "rollback", "--to", "third")
    assert champion(store) == third
    assert tags(store) == [first, CANDIDATE, third, CANDIDATE, first, third]


def test_a_rollback_to_what_never_served_or_can_no_longer_is_refused(trained: dict[str, Any], store: Path) -> None:
    release(store, trained["tag"])
    check_one_line(command(store, "rollback", "--to", CANDIDATE, expect=3), f"{CANDIDATE} was never the champion")
    release(store, CANDIDATE)
    shutil.rmtree(folder_of(store, trained["tag"]))
    result = command(store, "rollback", expect=3)
    check_one_line(result, f"There is no model {trained['tag']} in the store")
    assert champion(store) == CANDIDATE


def test_another_package_under_an_old_champion_s_tag_is_not_gone_back_to(trained: dict[str, Any], store: Path) -> None:
    release(store, trained["tag"])
    release(store, CANDIDATE)
    folder = folder_of(store, trained["tag"])
    shutil.rmtree(folder)
    add_candidate(store, CANDIDATE, trained["tag"], share=0.5)
    check_one_line(command(store, "rollback", expect=3), "is not the one that was released")


def test_a_champion_whose_package_was_deleted_cannot_be_compared_with_but_can_be_left(
    trained: dict[str, Any], store: Path
) -> None:
    release(store, trained["tag"])
    shutil.rmtree(folder_of(store, trained["tag"]))
    result = command(store, "release", CANDIDATE, expect=3)
    check_one_line(result, f"The champion {trained['tag']} is not in the store any more")
    command(store, "release", CANDIDATE, "--force", "the champion was deleted")
    assert champion(store) == CANDIDATE


def test_a_champion_s_package_that_was_altered_is_not_compared_with(trained: dict[str, Any], store: Path) -> None:
    release(store, trained["tag"])
    folder = folder_of(store, trained["tag"])
    weights = folder / "runner" / "model.ubj"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + b"?")
    check_one_line(command(store, "release", CANDIDATE, expect=3), "model.ubj is damaged")

    shutil.rmtree(folder)
    add_candidate(store, CANDIDATE, trained["tag"], share=0.5)
    check_one_line(command(store, "release", CANDIDATE, expect=3), "is not the one that was released")
    assert champion(store) == trained["tag"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 2}', b'{"format": 1, "tag": "flights:x"}', b"\xff"])
def test_a_damaged_record_of_the_champion_is_reported_and_mended_by_naming_one(
    trained: dict[str, Any], store: Path, content: bytes
) -> None:
    release(store, trained["tag"])
    release(store, CANDIDATE)
    ledger = ReleaseLedger(store, "flights")
    ledger.alias_file.write_bytes(content)
    with pytest.raises(PackageError, match=r"champion.json is damaged .*rollback --to TAG"):
        ledger.champion()
    if content != b"{":  # the commands once: they take seconds
        return
    for arguments in (["release", "latest"], ["rollback"], ["history"]):
        result = command(store, *arguments, expect=3)
        assert len(result.stderr.strip().splitlines()) == 1
        assert "champion.json is damaged" in result.stderr
    command(store, "rollback", "--to", trained["tag"])
    assert tags(store) == [trained["tag"], CANDIDATE, trained["tag"]]
    ledger.alias_file.write_bytes(content)
    command(store, "release", CANDIDATE, "--force", "mending")
    assert champion(store) == CANDIDATE


def test_a_record_that_went_away_is_not_taken_for_a_first_release(trained: dict[str, Any], store: Path) -> None:
    release(store, trained["tag"])
    ledger = ReleaseLedger(store, "flights")
    ledger.alias_file.unlink()
    with pytest.raises(PackageError, match="is gone although models were released"):
        ledger.champion()


def test_without_a_release_the_history_says_what_to_do(store: Path) -> None:
    shown = command(store, "history", alone=True)
    assert "No model was released yet" in shown.stdout
    assert not shown.stderr
    assert json.loads(command(store, "history", "--json").stdout) == []


@pytest.mark.parametrize("name", ["release", "rollback", "history"])
def test_help_lists_every_exit_code(store: Path, name: str) -> None:
    text = command(store, name, "--help").stdout
    assert re.search(r"Exit codes:\n +0 ", text)
    assert "3" in text[text.index("Exit codes") :]
    assert f"  {name} " in command(store, "--help").stdout
