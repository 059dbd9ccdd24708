from __future__ import annotations

from pathlib import Path

from tests.models import ROOT, run_command


def test_a_store_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("in the way")
    config = tmp_path / "quick.toml"
    config.write_text("resamples = 100\nreport = false\n[gate]\nmax_rmse = 1000\n")
    project = ROOT / "examples" / "diabetes"
    settings = {"BENTOML_HOME": str(tmp_path / "store"), "PYTHONPATH": str(ROOT)}
    result = run_command("train", "--config", str(config), cwd=project, **settings)
    assert result.returncode == 3, result.stderr
    (line,) = result.stderr.strip().splitlines()
    assert f"train: The model cannot be saved in the store {tmp_path / 'store'}: " in line
