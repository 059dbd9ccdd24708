from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.shadow import judge, main, missing_rows
from benchmarks.shadow_comparison import KINDS, NONE, ShadowComparison
from tabular_bento.traffic.schema import PREDICTIONS
from tests.conftest import ROOT


def measured(p99: float, reasons: dict[str, int] | None = None) -> dict[str, Any]:
    one = {"p50": 1.0, "p99": p99, "requests_per_second": 1000.0, "reasons": reasons or {}}
    return {"one_row": one, "lone": one}


def comparison(p99: float, reasons: dict[str, int] | None = None, missing: int = 0) -> ShadowComparison:
    """Three rounds in which p99 is 10 ms without a shadow, and `p99` with one."""
    rounds = {kind: [measured(10.0 if kind == NONE else p99, reasons)] * 3 for kind in KINDS}
    counted = {kind: {"rows": 5.0, "dropped_rows": 2.0, "failed_rows": 1.0} for kind in KINDS if kind != NONE}
    return ShadowComparison(rounds, counted, (0, 1), dict.fromkeys(KINDS, 0) | {"that raises": missing})


def test_ratios_are_over_the_server_without_a_shadow() -> None:
    found = comparison(10.5)
    assert found.ratio("that raises", "one_row", "p99") == pytest.approx(1.05)
    assert found.ratio(NONE, "one_row", "p99") == 1
    assert found.spread("lone", "p99") == 0
    json.dumps(found.document(), allow_nan=False)


def test_the_table_has_a_line_for_each_kind_of_shadow_under_each_load() -> None:
    lines = comparison(10.5).table().splitlines()
    for kind in KINDS:
        label = kind if kind == NONE else f"a shadow {kind}"
        assert sum(line.strip().startswith(label) for line in lines) == (2 if kind == NONE else 3)


def test_a_ratio_above_what_is_asked_for_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(comparison(10.9), 1.10) == 0
    assert judge(comparison(12.0), None) == 0
    assert judge(comparison(12.0), 1.10) == 1
    assert "p99 with a shadow that sleeps 5 s over that without, one_row: 1.20, above 1.1" in capsys.readouterr().err


def test_failed_requests_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(comparison(10.0, {"status 500": 2}), None) == 1
    assert "requests failed: status 500" in capsys.readouterr().err


def test_rows_that_the_log_lacks_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(comparison(10.0, missing=3), None) == 1
    assert "3 rows returned with a shadow that raises are not in the log" in capsys.readouterr().err


def test_a_row_is_in_the_log_once_however_often_and_a_truncated_line_is_none(tmp_path: Path) -> None:
    folder = tmp_path / PREDICTIONS
    folder.mkdir()
    (folder / "a.jsonl").write_text('{"prediction_id": "1"}\n{"prediction_id": "2"}\n{"prediction_id": "2"}\n')
    (folder / "b.jsonl").write_text('{"prediction_id": "3"}\n{"prediction_id": "4"')
    assert missing_rows(tmp_path, 3.0) == 0
    assert missing_rows(tmp_path, 4.0) == 1


def test_no_rounds_are_a_wrong_argument() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--rounds", "0"])
    assert ended.value.code == 2


def test_help_lists_every_exit_code() -> None:
    command = [sys.executable, "-m", "benchmarks", "shadow", "--help"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert all(f"{code} " in text[text.index("exit codes") :] for code in range(4))
