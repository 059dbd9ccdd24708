"""The comparison with an earlier commit: its arithmetic, its decision, and the worktree."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks import rounds as rounds_module
from benchmarks.errors import BenchmarkError
from benchmarks.report import OURS
from benchmarks.revision import SCENARIOS, Ratio, RevisionComparison, check_out, judge, main, named
from benchmarks.rounds import Pace, Target, run_pairs

COMMIT = "0123456789"


def measured(rate: float, reasons: dict[str, int] | None = None) -> dict[str, Any]:
    return {"requests_per_second": rate, "rows_per_second": rate, "p99": 1.0, "reasons": reasons or {}}


def comparison(ours: list[float], peers: list[float], reasons: dict[str, int] | None = None) -> RevisionComparison:
    rounds = {
        OURS: [dict.fromkeys(SCENARIOS, measured(rate, reasons)) for rate in ours],
        named(COMMIT): [dict.fromkeys(SCENARIOS, measured(rate)) for rate in peers],
    }
    return RevisionComparison(COMMIT, rounds, {OURS: 15.7, named(COMMIT): 15.8}, (None, None))


def test_the_ratio_is_the_geometric_mean_of_the_pairs() -> None:
    ratio = Ratio.of_pairs([100, 400], [100, 100])
    assert ratio.value == pytest.approx(2)
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low < 2 < ratio.high
    assert ratio.low * ratio.high == pytest.approx(4)


def test_the_interval_is_that_of_students_t() -> None:
    logs = [-0.02, 0.0, 0.01, 0.03, -0.01, 0.02, 0.0, -0.03, 0.0]
    ratio = Ratio.of_pairs([math.exp(value) for value in logs], [1.0] * 9)
    spread = math.sqrt(sum(value**2 for value in logs) / 8)  # their mean is 0
    assert ratio.value == pytest.approx(1)
    assert math.log(ratio.high or 0) == pytest.approx(2.306004 * spread / 3, rel=1e-6)


@pytest.mark.parametrize(
    ("ours", "code"),
    [
        ([96, 97, 95], 0),  # the interval reaches above the limit
        ([94, 96, 93], 0),
        ([90, 90.1, 89.9], 1),
        ([94, 94, 94], 1),
    ],
)
def test_a_limit_is_missed_when_the_whole_interval_is_below_it(
    ours: list[float], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge(comparison(ours, [100, 100, 100]), 0.95) == code
    assert ("below 0.95" in capsys.readouterr().err) == bool(code)


def test_one_round_has_no_interval() -> None:
    made = comparison([90], [100])
    assert str(made.ratio("lone")) == "0.900"
    assert judge(made, 0.95) == 1
    assert judge(made, 0.9) == 0


def test_failed_requests_fail_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(comparison([100], [100], {"status 500": 2}), 0.95) == 1
    assert "requests failed: status 500" in capsys.readouterr().err


def test_a_server_without_throughput_has_no_ratio() -> None:
    made = comparison([0], [100])
    assert made.ratio("one_row") is None
    assert judge(made, 0.95) == 1
    assert "-" in made.table()


def test_the_table_and_the_document_have_every_load() -> None:
    made = comparison([98, 99], [100, 101])
    table = made.table()
    assert "commit 0123456" in table
    assert table.count("(") >= len(SCENARIOS)
    document = json.loads(json.dumps(made.document(), allow_nan=False))
    assert set(document["ratios"]) == set(SCENARIOS)
    assert document["ratios"]["lone"]["low"] < document["ratios"]["lone"]["value"]


def test_pairs_run_one_directly_after_the_other_and_take_turns_to_be_first(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def measure(target: Target, *_: Any) -> dict[str, Any]:
        loaded.append(target.url)
        return measured(1.0)

    monkeypatch.setattr(rounds_module, "measure", measure)
    targets = {"a": Target("a"), "b": Target("b")}
    made = run_pairs(targets, {"lone": SCENARIOS["lone"]}, Path("rows"), None, Pace(3), lambda _: None)
    assert "".join(loaded) == "abbaab"
    assert [len(rounds) for rounds in made.values()] == [3, 3]


def test_a_commit_is_checked_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "service.py").write_text("first = 1\n")
    monkeypatch.chdir(repository)
    for command in (
        ["git", "init", "--quiet"],
        ["git", "add", "service.py"],
        ["git", "-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "--quiet", "--message", "first"],
    ):
        subprocess.run(command, check=True)
    (repository / "service.py").write_text("second = 2\n")
    folder = check_out("HEAD", tmp_path / "cache")
    assert (folder / "service.py").read_text() == "first = 1\n"
    assert check_out("HEAD", tmp_path / "cache") == folder
    with pytest.raises(BenchmarkError, match="There is no commit deadbeef in this repository"):
        check_out("deadbeef", tmp_path / "cache")


def test_no_rounds_are_a_wrong_argument() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--rounds", "0"])
    assert ended.value.code == 2
