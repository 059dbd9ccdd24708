"""The run book's tables are those of the code, and its numbers are those of the manifests."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tabular_bento.monitoring.drift import textfile as drift
from tabular_bento.serving.metrics import METRICS
from tabular_bento.serving.settings import ServingSettings
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "operate.md").read_text()


def metrics_table() -> str:
    """The table of metrics, as the page must have it."""
    lines = ["| metric | kind | labels | |", "|---|---|---|---|"]
    for metric in METRICS:
        labels = ", ".join(metric.labels) or " "
        lines.append(f"| `{metric.exported}` | {metric.kind} | {labels} | {metric.help} |")
    return "\n".join(lines)


def drift_table() -> str:
    """The table of the drift job's metrics, as the page must have it."""
    lines = ["| metric of the drift job | labels | |", "|---|---|---|"]
    for name, (text, _) in drift.METRICS.items():
        labels = "model, version, verdict" if name == "verdict" else "model, version"
        lines.append(f"| `{drift.PREFIX}{name}` | {labels} | {text} |")
    return "\n".join(lines)


def settings_table() -> str:
    """The table of settings, as the page must have it."""
    lines = ["| variable | default | |", "|---|---|---|"]
    prefix = ServingSettings.model_config["env_prefix"]
    for name, field in ServingSettings.model_fields.items():
        default = "computed" if field.default_factory else shown(field.default)
        lines.append(f"| `{prefix}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines)


def shown(default: Any) -> str:
    return "unset" if default is None else f"`{default}`"


def made(page: str) -> str:
    """The page with the tables of the code."""
    for table in (metrics_table(), drift_table(), settings_table()):
        head = re.escape(table[: table.index("\n")])
        page = re.sub(rf"^{head}\n(?:\|.*\n)*", lambda _, table=table: f"{table}\n", page, flags=re.MULTILINE)
    return page


def test_the_page_has_every_metric_and_setting() -> None:
    assert metrics_table() in PAGE, "run `make docs`"
    assert drift_table() in PAGE, "run `make docs`"
    assert settings_table() in PAGE, "run `make docs`"
    assert made(PAGE) == PAGE
    assert made(PAGE.replace("| `tabular_bento_batch_rows`", "| `rows_of_a_batch`")) == PAGE


def test_what_the_page_says_of_thresholds_is_what_the_manifests_have() -> None:
    scaling = list(yaml.safe_load_all((ROOT / "deploy/kubernetes/base/scaling.yaml").read_text()))
    cpu, in_progress = scaling[1]["spec"]["metrics"]
    assert f"({cpu['resource']['target']['averageUtilization']} %)" in PAGE
    assert f"({in_progress['pods']['target']['averageValue']} a pod)" in PAGE


if __name__ == "__main__":
    (ROOT / "docs" / "operate.md").write_text(made(PAGE))
