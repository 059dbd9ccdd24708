"""python -m training release, rollback and history, on stores of their own."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scoring.errors import PackageError
from scoring.release import Release
from tests.conftest import ROOT
from tests.releases import (
    CANDIDATE,
    add_candidate,
    check_one_sentence,
    command,
    folder_of,
    release,
    store_of_two,
)
from training.errors import ReleaseError
from training.releases import ReleaseLedger, before

POOR = "flights:poor"


@pytest.fixture
def store(trained: dict[str, Any], tmp_path: Path) -> Path:
    """Two models, none released."""
    return store_of_two(trained["tag"], tmp_path / "store")


def champion(store: Path) -> str | None:
    record = ReleaseLedger(store).champion()
    return record and record.tag


def tags(store: Path) -> list[str]:
    return [record.tag for record in ReleaseLedger(store).history()]


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
    trained: dict[str, Any], store: Path
) -> None:
    release(store, trained["tag"])
    same = "flights:rebuilt"
    add_candidate(store, trained["tag"], same, share=0.99)
    record = json.loads(command(store, "release", same, "--json").stdout.splitlines()[-1])

    evidence = record["evidence"]
    report = Path(evidence["report"])
    assert champion(store) == same
    assert record["previous"] == trained["tag"]
    assert (evidence["kind"], evidence["verdict"]) == ("compare", "accepted")
    assert report.is_relative_to(store / "releases" / "flights" / "evidence")
    assert evidence["sha256"] == hashlib.sha256(report.read_bytes()).hexdigest()
    assert json.loads(report.read_text())["verdict"] == "accepted"
    assert report.with_name("compare.html").exists()
    shown = command(store, "history").stdout
    assert f"compare: accepted, evidence/{report.parent.name}/compare.json" in shown


def test_a_worse_model_is_refused_with_reasons_and_the_report_unless_forced(
    trained: dict[str, Any], store: Path, tmp_path: Path
) -> None:
    release(store, trained["tag"])
    add_candidate(store, trained["tag"], POOR, share=0.01)
    result = command(store, "release", POOR, "--out", str(tmp_path / "report"), expect=1)

    check_one_sentence(result, f"{POOR} is refused: ")
    assert "RMSE" in result.stderr
    assert f"The report is {tmp_path / 'report' / 'compare.json'}." in result.stderr
    assert (tmp_path / "report" / "compare.html").exists()
    assert champion(store) == trained["tag"]

    command(store, "release", POOR, "--force", "the other one crashes")
    assert champion(store) == POOR
    assert ReleaseLedger(store).history()[-1].evidence == {"kind": "forced", "reason": "the other one crashes"}
    assert "forced: the other one crashes" in command(store, "history").stdout


def test_where_the_comparison_cannot_tell_the_command_ends_with_2(
    trained: dict[str, Any], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(store, trained["tag"])
    monkeypatch.setenv("COMPARE_MIN_OUTCOMES", "1000000000")
    result = command(store, "release", CANDIDATE, expect=2)
    check_one_sentence(result, f"{CANDIDATE} is not released, for the comparison cannot tell: ")
    assert champion(store) == trained["tag"]


@pytest.mark.parametrize("arguments", [["flights:nothing"], ["other:model"], ["latest", "--force", " "]])
def test_what_cannot_be_released_is_told_in_one_sentence(store: Path, arguments: list[str]) -> None:
    result = command(store, "release", *arguments, expect=2 if "--force" in arguments else 3)
    check_one_sentence(result, "--force wants a reason" if "--force" in arguments else arguments[0])
    assert champion(store) is None


def test_a_damaged_package_is_not_released_even_by_force(store: Path) -> None:
    path = folder_of(store, CANDIDATE) / "extractor.npz"
    path.write_bytes(path.read_bytes()[:-1])
    result = command(store, "release", CANDIDATE, "--force", "now", expect=3)
    check_one_sentence(result, f"{CANDIDATE} cannot be served: ")
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
    check_one_sentence(command(store, "rollback", expect=3), "no champion before this one")
    command(store, "rollback", "--to", "third")
    assert champion(store) == third
    assert tags(store) == [first, CANDIDATE, third, CANDIDATE, first, third]


def test_a_rollback_to_what_never_served_or_can_no_longer_is_refused(trained: dict[str, Any], store: Path) -> None:
    release(store, trained["tag"])
    check_one_sentence(command(store, "rollback", "--to", CANDIDATE, expect=3), f"{CANDIDATE} was never the champion")
    release(store, CANDIDATE)
    shutil.rmtree(folder_of(store, trained["tag"]))
    result = command(store, "rollback", expect=3)
    check_one_sentence(result, f"There is no model {trained['tag']} in the store")
    assert champion(store) == CANDIDATE


def test_another_package_under_an_old_champion_s_tag_is_not_gone_back_to(trained: dict[str, Any], store: Path) -> None:
    release(store, trained["tag"])
    release(store, CANDIDATE)
    folder = folder_of(store, trained["tag"])
    shutil.rmtree(folder)
    add_candidate(store, CANDIDATE, trained["tag"], share=0.5)
    check_one_sentence(command(store, "rollback", expect=3), "is not the one that was released")


def test_a_champion_whose_package_was_deleted_cannot_be_compared_with_but_can_be_left(
    trained: dict[str, Any], store: Path
) -> None:
    release(store, trained["tag"])
    shutil.rmtree(folder_of(store, trained["tag"]))
    result = command(store, "release", CANDIDATE, expect=3)
    check_one_sentence(result, f"The champion {trained['tag']} is not in the store any more")
    command(store, "release", CANDIDATE, "--force", "the champion was deleted")
    assert champion(store) == CANDIDATE


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 2}', b'{"format": 1, "tag": "flights:x"}', b"\xff"])
def test_a_damaged_record_of_the_champion_is_told_and_mended_by_naming_one(
    trained: dict[str, Any], store: Path, content: bytes
) -> None:
    release(store, trained["tag"])
    release(store, CANDIDATE)
    ledger = ReleaseLedger(store)
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
    ledger = ReleaseLedger(store)
    ledger.alias_file.unlink()
    with pytest.raises(PackageError, match="is gone although models were released"):
        ledger.champion()


def test_of_two_releases_at_once_one_wins_and_the_other_is_told(trained: dict[str, Any], store: Path) -> None:
    release(store, trained["tag"])
    ledger = ReleaseLedger(store)
    seen, package = ledger.champion(), ledger.verify(CANDIDATE)

    def move(number: int) -> Release | ReleaseError:
        try:
            return ReleaseLedger(store).move("release", package, {"kind": "forced", "reason": str(number)}, seen)
        except ReleaseError as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        moved = list(pool.map(move, range(8)))
    (won,) = (record for record in moved if isinstance(record, Release))
    lost = [str(error) for error in moved if isinstance(error, ReleaseError)]
    assert len(lost) == 7
    assert all(f"{CANDIDATE} became the champion at {won.time}, by {won.by}, while this ran" in error for error in lost)
    assert ledger.champion() == won
    assert [record.number for record in ledger.history()] == [1, 2]


@pytest.fixture
def holder(store: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of the records."""
    folder = ReleaseLedger(store).folder
    folder.mkdir(parents=True)
    program = (
        "import fcntl, sys, time\nfile = open(sys.argv[1], 'w')\nfcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\ntime.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder / "lock")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_release_waits_for_another_and_goes_on_when_that_is_killed(
    trained: dict[str, Any], store: Path, holder: subprocess.Popen[str]
) -> None:
    ledger = ReleaseLedger(store)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(release, store, trained["tag"])
        time.sleep(1)
        assert not waiting.done()
        holder.kill()
        assert waiting.result().tag == trained["tag"]
    assert ledger.history() == [ledger.champion()]


def test_a_release_that_waits_too_long_is_told(
    trained: dict[str, Any], store: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.releases.LOCK_SECONDS", 0.2)
    with pytest.raises(ReleaseError, match=r"Another release holds .*lock"):
        release(store, trained["tag"])
    assert holder.poll() is None


def test_a_release_that_is_killed_between_its_rename_and_its_line_of_history_is_in_the_history(
    trained: dict[str, Any], store: Path
) -> None:
    release(store, trained["tag"])
    ledger = ReleaseLedger(store)
    before_kill = ledger.history_file.read_bytes()
    record = release(store, CANDIDATE)
    ledger.history_file.write_bytes(before_kill + record.to_json().encode()[:40])  # torn in the middle of its line

    assert tags(store) == [trained["tag"], CANDIDATE]
    ledger.move("rollback", ledger.verify(trained["tag"]), {"kind": "rollback"}, ledger.champion())
    assert tags(store) == [trained["tag"], CANDIDATE, trained["tag"]]
    lines = ledger.history_file.read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [1, 2, 3]


def test_a_release_that_is_killed_at_any_moment_leaves_the_old_champion_or_the_new(
    trained: dict[str, Any], store: Path
) -> None:
    release(store, trained["tag"])
    program = (
        "import sys\nfrom pathlib import Path\nfrom training.releases import ReleaseLedger\n"
        "ledger = ReleaseLedger(Path(sys.argv[1]))\npackages = [ledger.verify(tag) for tag in sys.argv[2:]]\n"
        "print('ready', flush=True)\n"
        "while True:\n  for package in packages:\n"
        "    ledger.move('release', package, {'kind': 'forced', 'reason': 'loop'}, ledger.champion())\n"
    )
    for pause in (0.0, 0.013, 0.05, 0.11):
        command_line = [sys.executable, "-c", program, str(store), CANDIDATE, trained["tag"]]
        with subprocess.Popen(command_line, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(pause)
            process.send_signal(signal.SIGKILL)
        ledger = ReleaseLedger(store)
        record = ledger.champion()
        assert record is not None
        numbers = [each.number for each in ledger.history()]
        assert numbers == list(range(1, record.number + 1))
        assert ledger.damaged == 0
    release(store, CANDIDATE)
    assert champion(store) == CANDIDATE


def test_a_history_that_cannot_be_written_is_told_and_mended_by_the_next_move(
    trained: dict[str, Any], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: ReleaseLedger, records: list[Release]) -> None:  # noqa: ARG001
        raise OSError(errno.ENOSPC, "No space left on device")

    release(store, trained["tag"])
    with monkeypatch.context() as patch:
        patch.setattr(ReleaseLedger, "_append", full)
        with pytest.raises(ReleaseError, match=rf"{CANDIDATE} is the champion, but .*No space left on device"):
            release(store, CANDIDATE)
    assert champion(store) == CANDIDATE
    release(store, trained["tag"])
    assert [json.loads(line)["number"] for line in ReleaseLedger(store).history_file.read_text().splitlines()] == [
        1,
        2,
        3,
    ]


def test_a_history_that_cannot_be_read_is_told(store: Path) -> None:
    ledger = ReleaseLedger(store)
    ledger.history_file.mkdir(parents=True)
    with pytest.raises(ReleaseError, match=r"history.jsonl cannot be read"):
        ledger.history()


def test_a_damaged_line_of_history_is_told_and_the_others_are_shown(trained: dict[str, Any], store: Path) -> None:
    for tag in (trained["tag"], CANDIDATE, trained["tag"]):
        release(store, tag)
    ledger = ReleaseLedger(store)
    lines = ledger.history_file.read_text().splitlines(True)
    ledger.history_file.write_text(lines[0] + "nonsense\n" + lines[2])
    result = command(store, "history", "--json", expect=3)
    assert [record["number"] for record in json.loads(result.stdout)] == [3, 1]
    assert "1 lines of" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_told(trained: dict[str, Any], store: Path) -> None:
    ledger = ReleaseLedger(store)
    package = ledger.verify(trained["tag"])
    (store / "releases").write_text("in the way")
    with pytest.raises(ReleaseError, match=r"releases.* cannot be written"):
        ledger.move("release", package, {"kind": "first release"}, None)
    with pytest.raises(PackageError, match=r"champion.json cannot be read \(Not a directory\): grant access"):
        ledger.champion()


def test_without_a_release_the_history_says_what_to_do(store: Path) -> None:
    assert "No model was released yet" in command(store, "history").stdout
    assert json.loads(command(store, "history", "--json").stdout) == []


def record(number: int, action: str, tag: str) -> Release:
    return Release(number, action, "2026-01-01T00:00:00Z", "me@here", tag, "f", None)


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ("", None),
        ("A", None),
        ("A B", "A"),
        ("A B <A", None),
        ("A B C <B", "A"),
        ("A B C <A", None),
        ("A B A", "B"),
        ("A B A <B", "A"),
        ("A B <A C", "A"),
        ("A B <A <B", "A"),
    ],
)
def test_the_champion_before_is_found_in_the_history(moves: str, expected: str | None) -> None:
    history = [
        record(number, "rollback" if move.startswith("<") else "release", move.lstrip("<"))
        for number, move in enumerate(moves.split())
    ]
    found = before(history)
    assert (found and found.tag) == expected


@pytest.mark.parametrize("name", ["release", "rollback", "history"])
def test_help_tells_every_exit_code(store: Path, name: str) -> None:
    text = command(store, name, "--help").stdout
    assert "exit codes: 0" in text
    assert "3" in text[text.index("exit codes") :]
    assert f"    {name}" in command(store, "--help").stdout
