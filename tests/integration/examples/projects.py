"""A project used from its folder, as its users do: the demo, every protocol, the bento without the library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabular_bento.client import Client
from tabular_bento.serving.ports import free_port
from tabular_bento.serving.process import ServerProcess
from tests.browser import Browser, faults
from tests.models import ROOT, run_command


@dataclass(frozen=True)
class Project:
    """A project's folder, and a model store and a folder for the output of its own."""

    folder: Path
    store: Path
    out: Path

    @property
    def environment(self) -> dict[str, str]:
        """How long a prediction takes on a busy machine decides nothing."""
        latency = {"TABULAR_BENTO_COMPARE_MAX_LATENCY_RATIO": "1000"}
        return {"BENTOML_HOME": str(self.store), "PYTHONPATH": str(ROOT), **latency}

    def run(self, *arguments: str, expect: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `tabular-bento ARGUMENTS` in the project."""
        result = run_command(*arguments, cwd=self.folder, **self.environment, **environment)
        assert result.returncode == expect, result.stdout + result.stderr
        return result

    def demo(self, *arguments: str) -> dict[str, Any]:
        """What `tabular-bento demo --json ARGUMENTS` says."""
        ports = ("--port", str(free_port()), "--grpc-port", str(free_port()))
        result = self.run("demo", "--json", "--folder", str(self.out), *ports, *arguments)
        document: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
        return document

    def make(self, *targets: str, **environment: str) -> str:
        """What `make TARGETS` prints, with this process's environment in the place of the project's own."""
        command = ["make", "--no-print-directory", "-o", ".venv/.locked", f"PY={sys.executable}", *targets]
        outside = {
            name: value for name, value in os.environ.items() if name not in ("ARGS", "MAKEFLAGS", "MAKEOVERRIDES")
        }
        given = {**outside, **self.environment, **environment}
        result = subprocess.run(command, cwd=self.folder, env=given, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def build(self, **environment: str) -> str:
        """The tag of the bento that `bentoml build` makes of the champion."""
        arguments = ("build", "--output", "tag")
        result = run_command(*arguments, module="bentoml", cwd=self.folder, **self.environment, **environment)
        assert result.returncode == 0, result.stdout + result.stderr
        (latest,) = (self.store / "bentos").glob("*/latest")  # what is printed has emoji in the place of some names
        return f"{latest.parent.name}:{latest.read_text().strip()}"

    def pages(self, demo: dict[str, Any]) -> dict[str, Path]:
        """Every page that the demo made, by kind."""
        return {
            "training": self.package(demo["model"]) / "model_card.html",
            "drift": Path(demo["drift"]["report"]),
            "runs": Path(demo["drift"]["report"]).with_name("index.html"),
            "comparison": Path(demo["compare"]["report"]),
            "skew": Path(demo["skew"]["report"]),
        }

    def package(self, tag: str) -> Path:
        """The folder of a model."""
        return self.store / "models" / tag.replace(":", "/")

    def bento(self, tag: str) -> Path:
        """The folder of a bento."""
        return self.store / "bentos" / tag.replace(":", "/")

    @contextmanager
    def serve(self, tag: str, python: Path, elsewhere: Path) -> Iterator[Client]:
        """A client of `bentoml serve TAG`, from a folder that has nothing to do with the project."""
        grpc_port = free_port()
        environment = {
            "BENTOML_HOME": str(self.store),
            "PYTHONPATH": "",
            "TABULAR_BENTO_TRAFFIC_DIR": str(self.out / "served"),
            "TABULAR_BENTO_GRPC_PORT": str(grpc_port),
        }
        command = [str(python), "-m", "bentoml", "serve", tag]
        with (
            ServerProcess(free_port(), self.out / "served.log", tag, elsewhere, environment, command) as server,
            Client(server.url, grpc=f"127.0.0.1:{grpc_port}") as client,
        ):
            yield client


def shown(opened: Browser, page: Path) -> str:
    """The text of a page, in one line; fails where something is wrong with it in any size of window or scheme."""
    assert faults(opened, page) == []
    text: str = opened.open(page).value("document.body.innerText")
    return " ".join(text.split())


def run_tests(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a project's own tests, in a process of their own: its modules have the names of the flights' modules."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
