"""The workflows of .github/: right by their published schema, sound by zizmor, and made of make targets."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.environments import environment
from tests.models import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
SHIPPED = ["login", "in-service", "train", "gate", "build", "containerize", "smoke", "scan", "release", "sbom", "push"]
BOOTSTRAP = "apt-get "
"""What puts git there before there is a checkout."""


@pytest.fixture(scope="module")
def tools() -> Path:
    """The folder of the programs that workflows are checked by."""
    return environment("workflows").parent


def steps(path: Path) -> list[dict[str, Any]]:
    jobs: dict[str, Any] = yaml.safe_load(path.read_text())["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def commands(path: Path) -> list[str]:
    return [step["run"] for step in steps(path) if "run" in step]


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


def test_there_are_workflows_to_test_to_ship_and_to_watch() -> None:
    assert [path.name for path in WORKFLOWS] == ["drift.yml", "ship.yml", "test.yml"]


@pytest.mark.slow
def test_they_follow_the_published_schema(tools: Path, tmp_path: Path) -> None:
    check = (tools / "check-jsonschema", "--builtin-schema", "vendor.github-workflows")
    result = run(*check, *WORKFLOWS)
    assert result.returncode == 0, result.stdout

    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "run-on:"))
    assert run(*check, wrong).returncode == 1, "the check passes what is wrong"


@pytest.mark.slow
def test_zizmor_finds_nothing_against_them(tools: Path, tmp_path: Path) -> None:
    check = (tools / "zizmor", "--offline", "--no-progress", "--strict-collection")
    result = run(*check, ROOT / ".github" / "workflows")
    assert result.returncode == 0, result.stdout

    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[2].read_text().replace(".ci/run", "echo ${{ github.event.pull_request.title }}"))
    assert run(*check, wrong).returncode != 0, "the check passes what is wrong"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_each_step_is_a_make_target_or_ci_run(path: Path) -> None:
    for command in commands(path):
        if "make " in command:
            assert command.partition("make ")[2] in TARGETS, command
        else:
            assert command == ".ci/run" or command.startswith(BOOTSTRAP), command


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_others_wrote_is_taken_by_its_commit(path: Path) -> None:
    for step in steps(path):
        assert "uses" not in step or re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"]), step


def test_an_image_is_pushed_after_all_that_speaks_against_it_was_asked_and_signed_by_what_the_registry_has() -> None:
    made = [command.partition("make ")[2] for command in commands(ROOT / ".github" / "workflows" / "ship.yml")]
    assert made == [*SHIPPED, "sign"]


def test_the_first_image_is_shipped_where_none_is_in_service() -> None:
    (fetch,) = (
        step for step in steps(ROOT / ".github" / "workflows" / "ship.yml") if step.get("run") == "make in-service"
    )
    assert fetch["if"] == "vars.IN_SERVICE != ''"


def test_the_report_of_a_refused_release_is_kept_with_all_else_that_was_made() -> None:
    (kept,) = (step for step in steps(ROOT / ".github" / "workflows" / "ship.yml") if "upload-artifact" in str(step))
    assert (kept["if"], kept["with"]["path"]) == ("always()", "var/ship")
    makefile = (ROOT / "Makefile").read_text()
    assert "SHIP_DIR  ?= var/ship" in makefile
    assert "release $(RELEASE) --out $(SHIP_DIR)/compare" in makefile


def test_make_ship_releases_last() -> None:
    (steps_,) = re.findall(r"^SHIP_STEPS = (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert steps_.split()[:5] == ["train", "gate", "build", "containerize", "smoke"]
    assert steps_.split()[-1] == "release"
