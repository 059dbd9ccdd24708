"""The README and the pages of docs/: their links, commands, settings and code exist."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.__main__ import BENCHMARKS
from tabular_bento.cli import COMMANDS
from tabular_bento.data.database import VARIABLE as DATABASE
from tabular_bento.features import FeatureSet
from tabular_bento.monitoring.comparison.settings import CompareSettings
from tabular_bento.monitoring.drift.settings import DriftSettings, OutputSettings
from tabular_bento.serving.settings import ServingSettings
from tabular_bento.training.memory import VARIABLE as MEMORY
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLE = ROOT / "examples" / "diabetes"
PROJECTS = (ROOT, EXAMPLE)

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pages
def test_make_targets_exist(page: Path) -> None:
    made = "\n".join(
        path.read_text() for path in (ROOT / "Makefile", ROOT / "examples" / "project.mk") if path.exists()
    )
    for target in set(re.findall(r"[`$] ?make (?:-C examples/diabetes )?([a-z-]+)", page.read_text())):
        assert re.search(rf"^{target}:", made, re.MULTILINE), target


@pages
def test_commands_exist(page: Path) -> None:
    known = {command.name for command in COMMANDS}
    for words in re.findall(r"tabular-bento ((?:log )?[a-z]+)\b", page.read_text()):
        assert words in known | {"takes"}, words
    for name in re.findall(r"-m benchmarks ([a-z]+)", page.read_text()):
        assert name in BENCHMARKS, name


@pages
def test_settings_exist(page: Path) -> None:
    known = {DATABASE, MEMORY}
    for model in (ServingSettings, DriftSettings, OutputSettings, CompareSettings):
        prefix = str(model.model_config.get("env_prefix", ""))
        assert prefix.startswith("TABULAR_BENTO_"), model
        known |= {f"{prefix}{name}".upper() for name in model.model_fields}
    for variable in re.findall(r"TABULAR_BENTO_[A-Z_]*[A-Z]", page.read_text()):
        assert variable in known, variable


@pages
def test_files_that_are_named_exist(page: Path) -> None:
    pattern = r"`((?:deploy|tabular_bento|training|monitoring|features|docs|examples|benchmarks)/[\w./-]+\w)`"
    for path in re.findall(pattern, page.read_text()):
        assert any((root / path).exists() for root in PROJECTS), path


def test_the_features_of_the_page_are_features(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "features.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    exec(compile(blocks[0], "features.md", "exec"), module.__dict__)
    assert isinstance(module.FEATURES, FeatureSet)
    assert module.FEATURES.names == ("city", "price_before")
    assert [item.name for item in module.FEATURES.shared] == ["city_code", "hour", "usual_price"]
    assert blocks[1] in (ROOT / "features" / "distance.py").read_text()
