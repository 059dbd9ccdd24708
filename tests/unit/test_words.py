"""One word for one thing: words that were given up come back nowhere.

`ALLOWED` has the uses of such a word that mean something else, by file. Words that are common in other meanings (place,
pair, side, means, shape, known) cannot be checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models import ROOT

RETIRED = {
    "endpoint, protocol": r"doors?",
    "request handler": r"entrances?",
    "module, package": r"room",
    "label, ground truth": r"came true|outcomes?",
    "naive baseline": r"zero gain",
    "historical baseline": r"historical gain",
    "paired predictions": r"prediction pairs?|pairs? of predictions",
    "spill, chunk, index, projection": r"set aside|lots?",
    "truncated": r"torn",
    "return, response, prediction": r"answer(?:s|ed|ing)?|unanswered",
    "table": r"reference tables?",
    "status": r"endings?",
    "reported, message": r"told|sentences?",
    "metrics, charts": r"figures",
    "observed performance": r"reali[sz]ed",
    "offset": r"known part",
    "baseline and candidate": r"sides|part(?:y|ies)",
    "decision, reason, status": r"rulings?|praises?|standings?",
    "unmatched label": r"strange (?:labels?|outcomes?)",
    "triggers": r"causes of (?:an|the|each) alert",
    "SIGHUP, reload": r"hangups?",
    "smooth": r"shrinkage",
}
"""By the word that is used, those that are not."""

PATTERN = re.compile("|".join(rf"(?<![a-z])(?:{words})(?![a-z])" for words in RETIRED.values()))
"""Of text in small letters, which is read many times as fast as one without regard to case."""

NAMES = re.compile(r"\bMeans(?= ?[(:=])|\bCAUSES\b")
"""Names of a class and a constant, which are words of their own in small letters."""

ALLOWED = {
    "docs/write-a-feature.md": r"Area of a room|area_per_room",
    "tests/integration/test_guides.py": r"area_per_room",
    "tabular_bento/serving/limits.py": r"room for",  # in memory, as in the two that follow
    "tabular_bento/serving/settings.py": r"room for",
    "docs/operate.md": r"room for",
    "docs/ship.md": r"room for",
    "tabular_bento/pages/histograms.py": r"room",  # for labels beside each other
    "tests/integration/serving/test_http_limits.py": r"little room",
    "tests/unit/problems.py": r"the door was opened",
}
"""By file, what is meant otherwise: a regular expression of the whole use."""

SUFFIXES = {
    ".py", ".pyi", ".md", ".html", ".js", ".css", ".yaml", ".yml", ".json", ".toml", ".proto", ".jinja", ".sh", ".cfg",
    ".mk", "",
}  # fmt: skip
ROOTS = (
    "tabular_bento", "features", "training", "monitoring", "benchmarks", "deploy", "examples", "docs", "tests",
    ".github", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "service.py", "demo.py", "pyproject.toml",
)  # fmt: skip
LEFT_OUT = {"node_modules", "var", "__pycache__", "golden", "locks", ".bentoml"}
"""Folders of what is not written here; golden files hold what they held."""


def files(root: str) -> Iterator[Path]:
    start = ROOT / root
    for path in sorted(start.rglob("*")) if start.is_dir() else [start]:
        inside = path.relative_to(ROOT).parts
        if path.is_file() and path.suffix in SUFFIXES and not LEFT_OUT & set(inside) and path != Path(__file__):
            yield path


def retired(text: str, allowed: str | None = None) -> Iterator[tuple[int, str]]:
    """Lines and words of a text that are not used, without those that mean something else there."""
    for found in (*PATTERN.finditer(text.lower()), *NAMES.finditer(text)):
        around = text[max(found.start() - 20, 0) : found.end() + 20]
        if allowed is None or not re.search(allowed, around):
            yield text.count("\n", 0, found.start()) + 1, text[found.start() : found.end()]


def test_there_are_files_to_read() -> None:
    assert sum(len(list(files(root))) for root in ROOTS) > 500


@pytest.mark.parametrize("root", ROOTS)
def test_no_retired_word_is_used(root: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {word}"
        for path in files(root)
        for line, word in retired(path.read_text(errors="ignore"), ALLOWED.get(str(path.relative_to(ROOT))))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", ALLOWED)
def test_what_is_allowed_is_used(path: str) -> None:
    text = (ROOT / path).read_text()
    assert list(retired(text)), "the allowance is not needed any more"
    assert not list(retired(text, ALLOWED[path]))


@pytest.mark.parametrize(
    "text",
    ["the doors of the service", "What came true.", "class Means(NamedTuple)", "no one answered", "Figures of it"],
)
def test_a_retired_word_is_seen(text: str) -> None:
    assert list(retired(text))


@pytest.mark.parametrize(
    "text", ["Means and deviations", "indoors", "depending on", "mushrooms", "third quarter", "a figure"]
)
def test_a_part_of_another_word_is_not(text: str) -> None:
    assert not list(retired(text))
