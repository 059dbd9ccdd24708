"""`make ship` stops where the new model is refused, and leaves the report."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.conftest import ROOT, copy_of_store
from tests.releases import champion, release


def test_a_refusal_stops_it_before_anything_is_built_and_its_report_is_kept(
    trained: dict[str, Any], tmp_path: Path
) -> None:
    store, folder = copy_of_store(trained["tag"], tmp_path / "store"), tmp_path / "ship"
    release(store, trained["tag"])
    environment = {**os.environ, "BENTOML_HOME": str(store), "SHIP_DIR": str(folder), "COMPARE_MAX_SIZE_RATIO": "0.5"}
    command = ["make", "--no-print-directory", "ship"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert result.returncode, "a package as large as the one in service is twice as large as what is allowed"
    assert [line for line in result.stdout.splitlines() if line.startswith("== ")] == [
        "== train",
        "== gate",
        "== release",
    ]
    assert "is refused: package bytes: " in result.stderr
    assert json.loads((folder / "compare" / "compare.json").read_text())["verdict"] == "refused"
    assert (folder / "compare" / "compare.html").exists()
    assert champion(store) == trained["tag"]
