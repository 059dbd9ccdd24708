"""The run book's tables are those of the code, and its words are those of the manifests."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tabular_bento.serving.figures import FIGURES
from tabular_bento.serving.settings import ServingSettings
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "operate.md").read_text()


def figures_table() -> str:
    """The table of figures, as the page must have it."""
    lines = ["| figure | kind | labels | |", "|---|---|---|---|"]
    for figure in FIGURES:
        labels = ", ".join(figure.labels) or " "
        lines.append(f"| `{figure.exported}` | {figure.kind} | {labels} | {figure.help} |")
    return "\n".join(lines)


def settings_table() -> str:
    """The table of settings, as the page must have it."""
    lines = ["| variable | default | |", "|---|---|---|"]
    for name, field in ServingSettings.model_fields.items():
        default = "computed" if field.default_factory else shown(field.default)
        lines.append(f"| `{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines)


def shown(default: Any) -> str:
    return "unset" if default is None else f"`{default}`"


def made(page: str) -> str:
    """The page with the tables of the code."""
    for table in (figures_table(), settings_table()):
        head = re.escape(table[: table.index("\n")])
        page = re.sub(rf"^{head}\n(?:\|.*\n)*", lambda _, table=table: f"{table}\n", page, flags=re.MULTILINE)
    return page


def test_the_page_has_every_figure_and_setting() -> None:
    assert figures_table() in PAGE, "run `make docs`"
    assert settings_table() in PAGE, "run `make docs`"
    assert made(PAGE) == PAGE
    assert made(PAGE.replace("| `batch_rows`", "| `rows_of_a_batch`")) == PAGE


def test_links_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", PAGE, re.M)
    }
    for link in re.findall(r"\]\(([^)]+)\)", PAGE):
        path, _, anchor = link.partition("#")
        assert not path or (ROOT / "docs" / path).exists(), link
        assert not anchor or path or anchor in headings, link


def test_folders_and_commands_that_are_named_are_there() -> None:
    for path in set(re.findall(r"\bdeploy/[\w./-]+\w", PAGE)):
        assert (ROOT / path).exists(), path
    for module in set(re.findall(r"python -m (\w+)", PAGE)):
        assert (ROOT / module / "__main__.py").exists(), module
    targets = set(re.findall(r"`?make ([a-z-]+)", PAGE))
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M), target


def test_what_the_page_says_of_thresholds_is_what_the_manifests_have() -> None:
    scaling = list(yaml.safe_load_all((ROOT / "deploy/kubernetes/base/scaling.yaml").read_text()))
    cpu, in_flight = scaling[1]["spec"]["metrics"]
    assert f"({cpu['resource']['target']['averageUtilization']} %)" in PAGE
    assert f"({in_flight['pods']['target']['averageValue']} a pod)" in PAGE


if __name__ == "__main__":
    (ROOT / "docs" / "operate.md").write_text(made(PAGE))
