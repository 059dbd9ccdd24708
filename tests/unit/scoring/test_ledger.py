"""What happens to the record of releases when two move it at once, one is killed, or a file cannot be used."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tabular_bento.errors import PackageError, ReleaseError
from tabular_bento.scoring.ledger import ReleaseLedger, before
from tabular_bento.scoring.releases import Release
from tests.unit.models import PRICES

ROOT = Path(__file__).resolve().parents[3]
FIRST, CANDIDATE = "prices:first", "prices:second"


def ledger_of(home: Path) -> ReleaseLedger:
    return ReleaseLedger(home, "prices")


def release(home: Path, tag: str) -> Release:
    """Release a model without a comparison, and give the record."""
    ledger = ledger_of(home)
    return ledger.move("release", ledger.verify(tag, PRICES), {"kind": "forced", "reason": "a test"}, ledger.champion())


def champion(home: Path) -> str | None:
    """The tag of the champion; None where nothing was released."""
    record = ledger_of(home).champion()
    return record and record.tag


def tags(home: Path) -> list[str]:
    """The tags that were ever the champion, oldest first."""
    return [record.tag for record in ledger_of(home).history()]


def test_of_two_releases_at_once_one_wins_and_the_other_is_reported(home: Path) -> None:
    release(home, FIRST)
    ledger = ledger_of(home)
    seen, package = ledger.champion(), ledger.verify(CANDIDATE, PRICES)

    def move(number: int) -> Release | ReleaseError:
        try:
            return ledger_of(home).move("release", package, {"kind": "forced", "reason": str(number)}, seen)
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
def holder(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of the records."""
    folder = ledger_of(home).folder
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


def test_a_release_waits_for_another_and_goes_on_when_that_is_killed(home: Path, holder: subprocess.Popen[str]) -> None:
    ledger = ledger_of(home)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(release, home, FIRST)
        time.sleep(1)
        assert not waiting.done()
        holder.kill()
        assert waiting.result().tag == FIRST
    assert ledger.history() == [ledger.champion()]


def test_a_release_that_waits_too_long_is_reported(
    home: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tabular_bento.scoring.ledger.LOCK_SECONDS", 0.2)
    with pytest.raises(ReleaseError, match=r"Another release holds .*lock"):
        release(home, FIRST)
    assert holder.poll() is None


def test_a_release_that_is_killed_between_its_rename_and_its_line_of_history_is_in_the_history(home: Path) -> None:
    release(home, FIRST)
    ledger = ledger_of(home)
    before_kill = ledger.history_file.read_bytes()
    record = release(home, CANDIDATE)
    ledger.history_file.write_bytes(before_kill + record.to_json().encode()[:40])  # cut in the middle of its line

    assert tags(home) == [FIRST, CANDIDATE]
    ledger.move("rollback", ledger.verify(FIRST, PRICES), {"kind": "rollback"}, ledger.champion())
    assert tags(home) == [FIRST, CANDIDATE, FIRST]
    lines = ledger.history_file.read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [1, 2, 3]


def test_a_release_that_is_killed_at_any_moment_leaves_the_old_champion_or_the_new(home: Path) -> None:
    release(home, FIRST)
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom tabular_bento.scoring.ledger import ReleaseLedger\n"
        "from tests.unit.problems import PRICES\nledger = ReleaseLedger(Path(sys.argv[1]), 'prices')\n"
        "packages = [ledger.verify(tag, PRICES) for tag in sys.argv[2:]]\n"
        "for _ in sys.stdin:\n"
        "  if child := os.fork():\n"
        "    os.waitpid(child, 0)\n    print('killed', flush=True)\n    continue\n"
        "  print(os.getpid(), flush=True)\n"
        "  while True:\n    for package in packages:\n"
        "      ledger.move('release', package, {'kind': 'forced', 'reason': 'loop'}, ledger.champion())\n"
    )
    command_line = [sys.executable, "-c", program, str(home), CANDIDATE, FIRST]
    with subprocess.Popen(
        command_line, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for pause in (0.0, 0.013, 0.05, 0.11):
            process.stdin.write("\n")
            releasing = int(process.stdout.readline())
            time.sleep(pause)
            os.kill(releasing, signal.SIGKILL)
            assert process.stdout.readline() == "killed\n"
            ledger = ledger_of(home)
            record = ledger.champion()
            assert record is not None
            records, damaged = ledger.read()
            assert [each.number for each in records] == list(range(1, record.number + 1))
            assert damaged == 0
    release(home, CANDIDATE)
    assert champion(home) == CANDIDATE


def test_a_history_that_cannot_be_written_is_reported_and_mended_by_the_next_move(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: ReleaseLedger, records: list[Release]) -> None:  # noqa: ARG001
        raise OSError(errno.ENOSPC, "No space left on device")

    release(home, FIRST)
    with monkeypatch.context() as patch:
        patch.setattr(ReleaseLedger, "_append", full)
        with pytest.raises(ReleaseError, match=rf"{CANDIDATE} is the champion, but .*No space left on device"):
            release(home, CANDIDATE)
    assert champion(home) == CANDIDATE
    release(home, FIRST)
    assert [json.loads(line)["number"] for line in ledger_of(home).history_file.read_text().splitlines()] == [
        1,
        2,
        3,
    ]


def test_a_history_that_cannot_be_read_is_reported(home: Path) -> None:
    ledger = ledger_of(home)
    ledger.history_file.mkdir(parents=True)
    with pytest.raises(ReleaseError, match=r"history.jsonl cannot be read"):
        ledger.history()


def test_a_damaged_line_of_history_is_reported_and_the_others_are_shown(home: Path) -> None:
    for tag in (FIRST, CANDIDATE, FIRST):
        release(home, tag)
    ledger = ledger_of(home)
    lines = ledger.history_file.read_text().splitlines(True)
    ledger.history_file.write_text(lines[0] + "nonsense\n" + lines[2])
    records, damaged = ledger.read()
    assert ([record.number for record in records], damaged) == ([1, 3], 1)


def test_a_folder_that_cannot_be_written_is_reported(home: Path) -> None:
    ledger = ledger_of(home)
    package = ledger.verify(FIRST, PRICES)
    (home / "releases").write_text("in the way")
    with pytest.raises(ReleaseError, match=r"releases.* cannot be written"):
        ledger.move("release", package, {"kind": "first release"}, None)
    with pytest.raises(PackageError, match=r"champion.json cannot be read \(Not a directory\): grant access"):
        ledger.champion()


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
