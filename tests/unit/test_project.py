from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tabular_bento.errors import ProjectError
from tabular_bento.project import Project

TABLE = '[tool.tabular-bento]\nproblem = "a_problem_of_a_test:PROBLEM"\ntraining = "training/config.toml"\n'


def write(folder: Path, text: str) -> Path:
    (folder / "pyproject.toml").write_text(text)
    return folder


def test_the_nearest_project_is_found_from_below_it(tmp_path: Path) -> None:
    inner = tmp_path / "inner" / "deep"
    inner.mkdir(parents=True)
    write(tmp_path, TABLE)
    write(inner.parent, "[project]\nname = 'x'\n")

    project = Project.find(inner)

    assert project.root == tmp_path
    assert project.training == tmp_path / "training/config.toml"
    assert project.monitoring is None


def test_where_there_is_none_the_message_says_what_one_is(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"There is no project in .*\[tool.tabular-bento\]"):
        Project.find(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.tabular-bento]\n", "lacks `problem`"),
        ("[tool.tabular-bento]\nproblem = 3\n", "problem must be a string"),
        (TABLE + 'modle = "x"\n', "unknown key 'modle'"),
        ("[tool.tabular-bento\n", "cannot be read"),
    ],
)
def test_a_table_that_is_wrong_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ProjectError, match=words):
        Project.find(write(tmp_path, text))


def test_what_cannot_be_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    project = Project.find(write(tmp_path, TABLE))
    with pytest.raises(ProjectError, match=r"a_problem_of_a_test:PROBLEM .* cannot be imported"):
        project.load_problem()
    (tmp_path / "a_problem_of_a_test.py").write_text("PROBLEM = 3\n")
    with pytest.raises(ProjectError, match="is no Problem but a int"):
        project.load_problem()
    with pytest.raises(ProjectError, match="lacks `source`"):
        project.load_source()
