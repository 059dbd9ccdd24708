"""Another table, brought in by one folder of the example's layout: 80 columns of every kind, with gaps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabular_bento.client import PROTOCOLS
from tests.environments import environment
from tests.integration.examples.projects import Project
from tests.models import ROOT

ROWS = 4_000
NUMBERS, INTEGERS, TEXTS, BOOLEANS, DATES = 30, 20, 20, 6, 4

PROBLEM = '''
"""The problem: the price of a house."""

from tabular_bento import Field, Kind, Problem, Regression
from tabular_bento.features import FeatureSet

FIELDS = (
    Field("sold", Kind.DATE, "Day of the sale"),
    *(Field(f"number_{i}", Kind.NUMBER, f"Number {i}", optional=i % 2 == 0) for i in range(NUMBERS)),
    *(Field(f"integer_{i}", Kind.INTEGER, f"Integer {i}", minimum=0, maximum=99, optional=i % 2 == 0)
      for i in range(INTEGERS)),
    *(Field(f"text_{i}", Kind.TEXT, f"Text {i}", min_length=1, max_length=20, optional=i % 2 == 0)
      for i in range(TEXTS)),
    *(Field(f"boolean_{i}", Kind.BOOLEAN, f"Boolean {i}", optional=i % 2 == 0) for i in range(BOOLEANS)),
    *(Field(f"date_{i}", Kind.DATE, f"Date {i}", optional=True) for i in range(DATES - 1)),
)

PROBLEM = Problem(
    name="houses",
    rows="houses",
    fields=FIELDS,
    task=Regression(Field("price", Kind.NUMBER, "Price", unit="EUR")),
    features=FeatureSet.of_fields(FIELDS, without=["sold"]),
    event_time="sold",
    segments=("text_1",),
)
'''

SOURCE = '''
"""The data: a table of Parquet beside the project."""

from pathlib import Path

from features.problem import PROBLEM
from tabular_bento.data import TableSource

SOURCE = TableSource(PROBLEM, str(Path(__file__).parent.parent / "houses.parquet"))
'''

TRAINING = """
[xgboost]
rounds = 40
max_depth = 4
learning_rate = 0.2

[gate]
max_ratio_to_naive_baseline = 0.9
"""


def table() -> pd.DataFrame:
    """4,000 houses; the price depends on a number, an integer, a text and a boolean."""
    random = np.random.default_rng(7)

    def gaps(values: Any, index: int) -> pd.Series[Any]:
        column = pd.Series(values)
        return column.mask(random.random(ROWS) < 0.1) if index % 2 == 0 else column

    days = pd.Timestamp("2023-01-01") + pd.to_timedelta(np.sort(random.integers(0, 700, ROWS)), unit="D")
    columns: dict[str, Any] = {"sold": pd.Series(days).dt.date}
    for i in range(NUMBERS):
        columns[f"number_{i}"] = gaps(random.normal(size=ROWS), i)
    for i in range(INTEGERS):
        values = gaps(random.integers(0, 10, ROWS), i)
        columns[f"integer_{i}"] = values.astype("Int64")
    for i in range(TEXTS):
        columns[f"text_{i}"] = gaps(random.choice(["Köln", "Ulm", "Bonn", "a, b"], ROWS), i)
    for i in range(BOOLEANS):
        columns[f"boolean_{i}"] = gaps(random.random(ROWS) < 0.5, i).astype("boolean")
    for i in range(DATES - 1):
        made = pd.Timestamp("1970-01-01") + pd.to_timedelta(random.integers(-9_000, 18_000, ROWS), unit="D")
        columns[f"date_{i}"] = pd.Series(made).dt.date.mask(random.random(ROWS) < 0.1)
    frame = pd.DataFrame(columns)
    base = 200_000 + 40_000 * frame["number_1"] + 8_000 * frame["integer_1"].astype(float)
    base += 30_000 * (frame["text_1"] == "Ulm") + 20_000 * frame["boolean_1"].astype(float)
    frame["price"] = base + random.normal(0, 10_000, ROWS)
    return frame


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The example's folder with another problem, source and table: nothing else is written."""
    above = tmp_path_factory.mktemp("houses")
    folder = above / "houses"
    shutil.copytree(
        ROOT / "examples" / "diabetes", folder, ignore=shutil.ignore_patterns("__pycache__", "var", "tests")
    )
    counts = {"NUMBERS": NUMBERS, "INTEGERS": INTEGERS, "TEXTS": TEXTS, "BOOLEANS": BOOLEANS, "DATES": DATES}
    problem = PROBLEM.lstrip()
    for name, count in counts.items():
        problem = problem.replace(name, str(count))
    (folder / "features" / "problem.py").write_text(problem)
    (folder / "training" / "source.py").write_text(SOURCE.lstrip())
    (folder / "training" / "config.toml").write_text(TRAINING.lstrip())
    (folder / "monitoring" / "config.toml").write_text("")
    table().to_parquet(folder / "houses.parquet", index=False)
    return Project(folder, above / "bentoml", above / "out")


@pytest.fixture(scope="module")
def demo(project: Project) -> dict[str, Any]:
    return project.demo()


@pytest.mark.slow
def test_it_has_eighty_columns(project: Project) -> None:
    assert len(pd.read_parquet(project.folder / "houses.parquet").columns) == 81


@pytest.mark.slow
def test_it_trains_serves_and_is_replayed_over_every_protocol(demo: dict[str, Any]) -> None:
    assert [part["protocol"] for part in demo["replay"]] == list(PROTOCOLS)
    assert sum(part["rows_served"] for part in demo["replay"]) == sum(part["rows"] for part in demo["replay"]) > 500
    assert not any(part["errors"] for part in demo["replay"])


@pytest.mark.slow
def test_its_reports_are_made(demo: dict[str, Any]) -> None:
    assert demo["drift"]["verdict"] in ("no_drift", "drift", "not_enough_data")
    assert "nan" not in json.dumps(demo).lower().split('"')
    assert demo["compare"]["verdict"] in ("accepted", "refused", "cannot_tell")
    assert demo["compare"]["rows"] == demo["compare"]["labels"] == demo["skew"]["checked"]
    assert demo["skew"]["differing"] == 0
    for report in (demo["drift"]["report"], demo["compare"]["report"], demo["skew"]["result"]):
        assert Path(report).stat().st_size > 0


@pytest.mark.slow
def test_its_features_are_listed(project: Project, demo: dict[str, Any]) -> None:
    document = json.loads(project.run("features", "--json").stdout)
    assert document["model"] == demo["model"]
    assert len(document["features"]) == 79
    assert all(item["fields"] == [item["name"]] for item in document["features"])


@pytest.mark.slow
def test_its_bento_serves_by_tag_where_the_library_is_not_installed(
    project: Project,
    demo: dict[str, Any],  # noqa: ARG001
    tmp_path: Path,
) -> None:
    bento = project.build()
    row = json.loads(
        pd.read_parquet(project.folder / "houses.parquet").head(1).drop(columns="price").to_json(orient="records")
    )[0]
    row |= {name: value and str(np.datetime64(value, "ms").astype("datetime64[D]")) for name, value in row.items()
            if name == "sold" or name.startswith("date_")}  # fmt: skip
    with project.serve(bento, environment("serving", "xgboost"), tmp_path) as client:
        predicted = {name: client.predict([row], protocol=name)[0]["price"] for name in PROTOCOLS}
    assert len(set(predicted.values())) == 1
    assert 0 < predicted["json"] < 1_000_000
