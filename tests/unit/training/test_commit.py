"""The commit that packages and bentos name."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tabular_bento.training.commit import commit_of


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit of one file."""
    (tmp_path / "file").write_text("first\n")
    author = ("-c", "user.name=me", "-c", "user.email=me@example.test")
    for arguments in (("init", "-q"), ("add", "file"), (*author, "commit", "-q", "-m", "first")):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    return tmp_path


def test_the_commit_is_named_and_what_differs_from_it_is_reported(checkout: Path) -> None:
    clean = commit_of(checkout)
    assert re.fullmatch("[0-9a-f]{40}", clean or "")
    (checkout / "file").write_text("second\n")
    assert commit_of(checkout) == f"{clean}-dirty"


def test_outside_of_a_checkout_or_without_git_there_is_none(
    tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / ".git").rename(tmp_path / "no-longer-git")
    assert commit_of(checkout) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of() is None
