"""The dashboard asks for metrics that a server exports, in PromQL that a real Prometheus evaluates."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tabular_bento.monitoring.drift.textfile import METRICS, PREFIX
from tabular_bento.serving.metrics import METRICS as SERVER_METRICS
from tests.integration.deploy.prometheus import WINDOW, prometheus
from tests.integration.deploy.tools import EXAMPLE, OBSERVABILITY, predict
from tests.integration.deploy.triggers import Scene, export, settle
from tests.serving import ServedPort

BOARD = json.loads((OBSERVABILITY / "dashboard.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = sorted({target["expr"] for panel in PANELS for target in panel["targets"]})
OF_CLASSES = {expression for expression in EXPRESSIONS if "_predicted_class_rows_" in expression}
"""What a server of a problem with classes alone exports; `tests/integration/serving/test_classes.py` counts them."""
VARIABLES = {"namespace": "air", "service": "flights", "model": ".*", "version": ".*"}
DRIFT = sorted(set(re.findall(rf"{PREFIX}\w+", " ".join(EXPRESSIONS) + (OBSERVABILITY / "rules.yaml").read_text())))
"""Metrics of the drift job's file that the dashboard or an alert asks for."""


def line(name: str) -> str:
    labels = 'model="flights",version="1"' + (',verdict="no_drift"' if name == f"{PREFIX}verdict" else "")
    return f"{name}{{{labels}}} {time.time() if name.endswith('_seconds') else 1}"


@pytest.fixture(scope="module")
def responses(server: ServedPort, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What Prometheus returns for each expression, of a server with traffic."""
    folder = tmp_path_factory.mktemp("dashboard")

    def everything() -> None:
        for protocol in ("json", "rest", "grpc"):
            predict(server, [EXAMPLE] * 3, protocol)
        labels = {"labels": [{"prediction_id": "p", "arrival_delay": 1.0}]}
        server.post("/feedback", json.dumps(labels).encode())
        server.post("/predict", b"{}")
        time.sleep(0.1)

    with prometheus(folder) as watching, Scene(watching, server, {}, folder) as scene:
        watching.scrape("serving", scene.instance)
        export(scene, *map(line, DRIFT))
        scene.keep_asking(1, everything)
        settle(scene)
        deadline = time.monotonic() + 60
        while True:
            found = {expression: ask(watching, expression) for expression in EXPRESSIONS}
            if all(found[expression] for expression in set(EXPRESSIONS) - OF_CLASSES) or time.monotonic() > deadline:
                return found
            time.sleep(1)


def ask(watching: Any, expression: str) -> list[Any]:
    query = expression.replace("$__rate_interval", WINDOW)
    for name, chosen in VARIABLES.items():
        query = query.replace(f"${name}", chosen)
    found: list[Any] = watching.ask("query", query=query)["result"]
    return found


@pytest.mark.parametrize("expression", sorted(set(EXPRESSIONS) - OF_CLASSES))
def test_every_expression_has_a_result(expression: str, responses: dict[str, list[Any]]) -> None:
    assert responses[expression]


def test_a_panel_shows_the_predicted_classes_by_their_declared_names(responses: dict[str, list[Any]]) -> None:
    (expression,) = OF_CLASSES
    (metric,) = (each for each in SERVER_METRICS if each.name == "predicted_class_rows")
    assert metric.exported in expression
    assert expression.startswith(f"sum by ({', '.join(metric.labels)}) ")
    assert responses[expression] == [], "of a regression there are none, and the question is well formed"


def test_every_drift_metric_is_one_that_the_job_writes() -> None:
    assert DRIFT
    assert {name.removeprefix(PREFIX) for name in DRIFT} <= set(METRICS)


def test_every_expression_is_of_the_chosen_service() -> None:
    for expression in EXPRESSIONS:
        selectors = re.findall(r"\{([^}]*)\}", expression)
        assert len(selectors) == len(re.findall(r"\b(?:tabular_bento_\w+|up)\b", expression)), expression
        assert all('namespace="$namespace",service="$service"' in one for one in selectors), expression


def test_panels_are_distinct_and_lie_side_by_side() -> None:
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    cells: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        covered = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not covered & cells, panel["title"]
        cells |= covered


def test_every_panel_asks_the_data_source_that_is_chosen_on_the_page() -> None:
    assert [variable["name"] for variable in BOARD["templating"]["list"]] == ["datasource", *VARIABLES]
    for variable in BOARD["templating"]["list"][1:]:
        assert variable["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    for panel in PANELS:
        for target in [panel, *panel["targets"]]:
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_the_board_is_what_grafana_provisions() -> None:
    assert {"uid", "title", "panels", "schemaVersion", "time", "templating"} <= set(BOARD)
    assert "id" not in BOARD, "a provisioned board has none of another Grafana's"
    assert (Path(OBSERVABILITY) / "dashboard.json").stat().st_size < 1 << 20
