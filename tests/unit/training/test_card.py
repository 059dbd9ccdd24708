from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tabular_bento import Field, Kind
from tabular_bento.evaluation.evaluators import evaluator_of
from tabular_bento.pages.card import CardPage
from tabular_bento.pages.charts import Interval
from tabular_bento.scoring.package import CARD_FILE, PROFILE_FILE
from tabular_bento.tasks import Binary, Multiclass
from tabular_bento.training import evidently
from tabular_bento.training.card import card_of, write_card
from tabular_bento.training.diagnostics import charts_of
from tabular_bento.training.fitting import Candidate, Selection
from tabular_bento.training.limits import limits_of
from tabular_bento.training.pipeline import TrainedModel
from tabular_bento.training.publishing import write_package
from tests.browser import LAPTOP, browser, embedded, faults
from tests.unit import models
from tests.unit.training.test_classes import trained


@pytest.fixture(scope="module")
def dated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of a model with an event time, an offset, a segment and a baseline, with its report."""
    model = models.trained("dated")
    folder = tmp_path_factory.mktemp("dated")
    write_package(folder, replace(model, config=model.config.model_copy(update={"report": True})))
    return folder


@pytest.fixture(scope="module")
def parcels() -> CardPage:
    """That of a model without any of them."""
    return card_of(models.trained("parcels"), {})


def test_a_browser_without_a_network_draws_it(dated: Path) -> None:
    with browser() as opened:
        assert faults(opened, dated / CARD_FILE) == []
        page = opened.open(dated / CARD_FILE)
        assert page.value("document.querySelectorAll('.js-plotly-plot').length") == 5
        ends = "[...document.querySelectorAll('h1, #first .plot, #importance .plot, #segments .plot')]"
        bottoms = page.value(f"{ends}.map((one) => one.getBoundingClientRect().bottom)")
        assert max(bottoms) <= LAPTOP[1], "the first screen holds metric, baselines, predictions, importance, segments"


def test_evidently_s_report_is_in_it(dated: Path) -> None:
    text = (dated / CARD_FILE).read_text()
    assert "Regression Model Performance" in embedded(text)
    assert len(text) < 6_000_000


def test_it_says_what_was_trained_on_what() -> None:
    model = models.trained("dated")
    metrics = model.metrics["test"].to_dict()
    page = card_of(model, {"size": 0.75, "city": 0.25})
    assert page.headline == f"RMSE {metrics['rmse']:.4g}{unit_of(model)}"
    low, high = metrics["rmse_interval"]
    assert page.message.startswith(f"({low:.4g} to {high:.4g}), ")
    assert page.message.endswith(" of the naive baseline's")
    assert f"trained on {len(model.parts['train']):,} rows from " in page.about
    assert f"measured on the {len(model.parts['test']):,} rows of the test part from " in page.about
    assert page.importance is not None
    assert page.importance.figure["data"][0]["y"] == ["city", "size"]
    assert not any("event time" in one for one in page.missing)


def unit_of(model: TrainedModel) -> str:
    unit = model.problem.task.target.unit
    return f" {unit}" if unit else ""


def test_the_model_is_beside_its_baselines() -> None:
    model = models.trained("dated")
    (points,) = card_of(model, {}).baselines.figure["data"]
    rows = dict(zip(points["y"], points["x"], strict=True))
    assert rows["model"] == model.metrics["test"].to_dict()["rmse"]
    assert set(rows) == {"model", "naive baseline", "historical baseline", "ridge"}
    assert points["marker"]["symbol"].count("circle") == 1, "baselines are rings"


def test_segments_are_measured_on_their_rows() -> None:
    model = models.trained("dated")
    page = card_of(model, {})
    (table,) = [one for one in page.tables if one.title == "By city"]
    test = model.parts["test"]
    error = model.predictions["test"].value - test.target
    cities = np.array([value if value is not None else "missing" for value in test.columns["city"].tolist()])
    assert sum(int(row[1]) for row in table.rows) == len(test)
    for value, count, rmse, _ in table.rows:
        of_city = error[cities == value]
        assert (int(count), rmse) == (len(of_city), f"{np.sqrt((of_city**2).mean()):.4g}")


def test_what_a_problem_does_not_declare_is_said(parcels: CardPage) -> None:
    text = "\n".join(parcels.missing)
    for what in ("event time", "offset", "historical baseline", "segments", "importance of features"):
        assert f"No {what}: " in text
    assert (parcels.tone, parcels.segments, parcels.importance) == ("good", None, None)
    html = parcels.to_html()
    assert all(f"<li>{line}</li>" in html for line in parcels.missing)
    (parts,) = [one for one in parcels.tables if one.title == "Parts of the data"]
    assert ["without a label", "30", "", "left out"] in [list(row) for row in parts.rows]


def test_the_importance_is_that_of_the_profile(dated: Path) -> None:
    assert (dated / PROFILE_FILE).exists()
    assert 'id="importance"' in (dated / CARD_FILE).read_text()


def test_a_failure_of_evidently_leaves_out_its_part_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> str:
        raise RuntimeError("no plots\ntoday")

    monkeypatch.setattr(evidently, "plot", fail)
    model = models.trained("parcels")
    write_card(replace(model, config=model.config.model_copy(update={"report": True})), {}, tmp_path / CARD_FILE)
    text = (tmp_path / CARD_FILE).read_text()
    assert "<li>No report of Evidently: RuntimeError: no plots.</li>" in text
    assert embedded(text) == ""
    assert "Predicted by label" in text


def test_a_model_that_is_no_better_than_none_is_an_alarm() -> None:
    model = models.trained("parcels")
    assert card_of(replace(model, metrics=model.baselines["naive_baseline"]), {}).tone == "alarm"
    warned = card_of(replace(model, warnings=["R2 is too good to be true"]), {})
    assert warned.tone == "warning"
    assert "R2 is too good to be true" in warned.to_html()


CLASSES = {
    "binary": Binary(Field("churn", Kind.TEXT), classes=("no", "yes")),
    "multiclass": Multiclass(Field("species", Kind.TEXT), classes=tuple(f"species {i}" for i in range(7))),
}


@pytest.mark.parametrize("kind", CLASSES)
def test_the_charts_of_classes(kind: str) -> None:
    task, random = CLASSES[kind], np.random.default_rng(3)
    size = len(task.classes)
    raw = random.normal(0, 2, (2_000, task.raw_columns))
    outputs = task.decode(raw)
    probability = outputs["probability"]
    codes = np.array([random.choice(size, p=row / row.sum()) for row in probability], dtype=np.float64)
    codes[:10] = np.nan
    charts = {chart.title: chart.figure for chart in charts_of(task, outputs, codes, seed=0)}
    assert [*charts] == ["Calibration", "Confusion matrix", "ROC curve", "Precision and recall"]
    matrix = [[int(text.replace(",", "")) for text in row] for row in charts["Confusion matrix"]["data"][0]["text"]]
    assert (len(matrix), sum(map(sum, matrix))) == (size, 1_990)
    right = evaluator_of(task).codes(outputs[task.target.name])[10:] == codes[10:]
    assert sum(matrix[i][i] for i in range(size)) == right.sum()
    drawn = charts["Calibration"]["data"]
    assert len(drawn) == (1 if kind == "binary" else 5)
    for line in drawn:
        inside = [
            y - low <= x <= y + high
            for x, y, low, high in zip(
                line["x"], line["y"], line["error_y"]["arrayminus"], line["error_y"]["array"], strict=True
            )
        ]
        assert sum(inside) >= 7, "labels were drawn by these probabilities"
    area = float(re.search(r"area ([\d.]+)", charts["ROC curve"]["data"][0]["name"])[1])  # type: ignore[index]
    assert 0.7 < area < 1


def test_a_test_part_of_one_class_has_its_confusion_matrix_alone() -> None:
    task = CLASSES["binary"]
    charts = charts_of(task, task.decode(np.zeros((5, 1))), np.ones(5), seed=0)
    assert [chart.title for chart in charts] == ["Confusion matrix"]


def test_without_labels_there_are_no_charts() -> None:
    task = CLASSES["binary"]
    assert charts_of(task, task.decode(np.zeros((5, 1))), np.full(5, np.nan), seed=0) == []


def test_its_limits_are_said() -> None:
    limits = " ".join(card_of(models.trained("dated"), {}).limits)
    assert "the drift report says how it does on later ones" in limits
    assert "Its metrics are of " in limits
    parcels = models.trained("parcels")
    limits = " ".join(card_of(parcels, {}).limits)
    assert "nothing shows how it does later on" in limits
    assert "30 rows (10.0%) had no label" in limits
    assert "Requests with values out of range are refused: weight from 0 to 100 kg, pieces from 1 to 9." in limits
    assert "counts as unknown" in limits
    assert "gives no explanations" not in limits


def test_rare_classes_are_named_and_probabilities_that_are_no_shares() -> None:
    model = trained("tumours")
    few = replace(model, parts={**model.parts, "test": model.parts["test"].where(np.arange(40))})
    limits = " ".join(limits_of(few, []))
    assert "The test part has fewer than 30 rows of " in limits
    weighted = model.config.model_copy(update={"class_weight": "balanced", "calibration": "none"})
    assert "they are scores, not shares" in " ".join(limits_of(replace(model, config=weighted), []))


def test_a_segment_that_is_clearly_worse_is_named() -> None:
    found = [("city", [("Rome", 90, Interval("Rome", 3.0, 2.5, 3.5)), ("Bonn", 80, Interval("Bonn", 1.0, 0.5, 1.5))])]
    (line,) = [one for one in limits_of(models.trained("dated"), found) if one.startswith("By city")]
    assert line == "By city it is worst for Rome: RMSE 3 on 90 rows, where for Bonn it is 1."
    found[0][1][0] = ("Rome", 90, Interval("Rome", 3.0, 1.2, 3.5))
    assert not [one for one in limits_of(models.trained("dated"), found) if one.startswith("By city")]


def test_versions_and_the_runners_that_were_compared_are_tables() -> None:
    model = models.trained("parcels")
    found = [Candidate("sklearn", {}, 2.5, 0.4, 0.3), Candidate("xgboost", {}, 2.0, 0.0, 0.0, chosen=True)]
    compared = replace(model, selection=Selection("rmse", 230, 180, tuple(found)))
    provenance = {"trained_at": "2026-01-01T00:00:00", "commit": None, "libraries": {"numpy": "2.4", "absent": None}}
    tables = {table.title: table for table in card_of(compared, {}, provenance).tables}
    assert [row[0] for row in tables["Runners compared"].rows] == ["sklearn", "xgboost, chosen"]
    assert "180 of them of the training part" in tables["Runners compared"].note
    assert tables["Versions"].rows == [["trained", "2026-01-01T00:00:00"], ["numpy", "2.4"]]
    assert "Runners compared" not in {table.title for table in card_of(model, {}).tables}
