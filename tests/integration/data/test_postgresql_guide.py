"""What docs/postgresql.md shows is what happens, against a real server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.models import ROOT
from tests.postgres import HOST, PostgreSQL

PAGE = (ROOT / "docs" / "postgresql.md").read_text()
BLOCKS = re.findall(r"```(console|sql|python)\n(.*?)```", PAGE, re.DOTALL)
ADDRESS, DATABASE = "localhost:5432", "clinic"
COLUMNS = ("age", "sex", "bmi", "bp", "tc", "ldl", "hdl", "tch", "ltg", "glu", "progression")


@dataclass
class Shell:
    """A shell in which one command follows another."""

    folder: Path
    port: int
    before: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    """All that was printed."""

    def run(self, command: str) -> str:
        """What a command prints; a folder and variables that it sets are there for the next."""
        command = command.replace(ADDRESS, f"{HOST}:{self.port}")
        program = f'tabular-bento() {{ "{sys.executable}" -W ignore -m tabular_bento "$@"; }}'
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "BENTOML_HOME": str(self.folder / "store")}
        result = subprocess.run(
            ["bash", "-c", "\n".join([program, *self.before, command])],
            cwd=self.folder, env=environment, text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if command.startswith(("export ", "cd ")):
            self.before.append(command)
        self.shown.append(result.stdout)
        return result.stdout


@pytest.fixture
def clinic(postgresql: PostgreSQL) -> Iterator[PostgreSQL]:
    """The server with the page's database, which holds scikit-learn's patients."""
    from sklearn.datasets import load_diabetes

    rows = load_diabetes(as_frame=True, scaled=False).frame.to_numpy().tolist()
    postgresql.execute(f"CREATE DATABASE {DATABASE}", database="postgres")
    types = ", ".join(f"{name} {'int' if name in ('age', 'sex') else 'float8'}" for name in COLUMNS)
    values = ", ".join(str(tuple(row)) for row in rows)
    postgresql.execute(f"CREATE TABLE patients ({types})", DATABASE)
    postgresql.execute(f"INSERT INTO patients VALUES {values}", DATABASE)
    yield postgresql
    postgresql.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)", database="postgres")
    postgresql.execute("DROP ROLE reader", database="postgres")


def general(text: str) -> list[str]:
    """Lines without what differs from run to run: the versions of models, digests and ports."""
    text = re.sub(r"progress:\w+", "progress:VERSION", text)
    return re.sub(r"\b[0-9a-f]{16}\b", "DIGEST", text).strip().splitlines()


@pytest.mark.slow
def test_the_page_is_what_happens(clinic: PostgreSQL, tmp_path: Path) -> None:
    shell = Shell(tmp_path, clinic.port)
    for language, block in BLOCKS:
        if language == "sql":
            clinic.execute(block, DATABASE)
        elif language == "python":
            (line,) = re.findall(r"^SOURCE = .*$", block, re.MULTILINE)
            source = tmp_path / "progress" / "training" / "source.py"
            assert line in source.read_text()
            source.write_text(block)
        else:
            for command, shown in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block, re.MULTILINE):
                printed = general(shell.run(command))
                missing = [line for line in general(shown) if line != "..." and line not in printed]
                assert not missing, f"{command}\n{missing}\nnot in\n" + "\n".join(printed)
    (uri,) = re.findall(r"DATABASE='(.*)'", PAGE)
    password = uri.split(":")[2].split("@")[0]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "provenance.json" for path in files)
    for content in [*(path.read_bytes() for path in files), *(text.encode() for text in shell.shown)]:
        assert password.encode() not in content
        assert unquote(password).encode() not in content


def test_the_page_has_a_block_for_every_step() -> None:
    commands = "".join(block for language, block in BLOCKS if language == "console")
    assert commands.count("$ tabular-bento train") == 3
    assert [language for language, _ in BLOCKS].count("sql") == 2
