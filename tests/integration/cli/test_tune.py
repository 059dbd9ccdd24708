from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_a_search_is_reported_written_and_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "diabetes"
    shutil.copytree(ROOT / "examples" / "diabetes", project, ignore=shutil.ignore_patterns("var", ".*", "__pycache__"))
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "store"))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tabular_bento", "train", *arguments]
        return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)

    refused = run("--tuned", "x.toml")
    assert refused.returncode == 2
    assert "--tuned is for --tune: leave it out." in refused.stderr

    found = run("--tune", "4", "--json")
    assert found.returncode == 0, found.stderr
    tuning = json.loads(found.stdout.splitlines()[-1])["tuning"]
    file = project / "var" / "tune" / "tuned.toml"
    assert tuning["file"] == str(file)
    assert (tuning["runner"], tuning["trials"], tuning["new_trials"]) == ("xgboost", 4, 4)
    assert "tuning: 4 trials of xgboost, 4 of them now; " in found.stdout
    assert found.stderr == ""
    if tuning["changed"]:
        assert "95 % interval" in found.stdout
        low, high = tuning["gain"]["interval"]
        assert low <= tuning["gain"]["after"] - tuning["gain"]["before"] <= high

    again = run("--tune", "4", "--json")
    assert json.loads(again.stdout.splitlines()[-1])["tuning"]["new_trials"] == 0
    first, second = (json.loads(each.stdout.splitlines()[-1])["metrics"] for each in (found, again))
    assert first == second
    by_file = run("--config", str(file), "--json")
    assert json.loads(by_file.stdout.splitlines()[-1])["metrics"] == first
