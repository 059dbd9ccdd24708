"""Comparisons and skew checks have the results that they had before the library was split off."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from features.problem import PROBLEM
from tabular_bento.data.dataset import Dataset
from tabular_bento.monitoring import skew as skew_job
from tabular_bento.monitoring.comparison import job as compare_job
from tabular_bento.monitoring.comparison import models as compare_models
from tabular_bento.monitoring.comparison.job import run
from tabular_bento.monitoring.comparison.settings import CompareSettings
from tabular_bento.monitoring.window.data import Query
from tabular_bento.scoring.store import LocatedModel
from tabular_bento.traffic.schema import FEATURES, INPUTS, OUTPUTS, PREDICTIONS
from tests.golden import monitored as golden
from tests.golden.test_monitoring import same

WORDS = (
    ("too wide to tell; more days of outcomes narrow it.", "too wide to tell."),
    ("outcomes", "labels"),
    ("standing", "status"),
)
FREE = ("format", "made_at", "name", "model", "fingerprint", "trained_at", "size_bytes", "log", "where", "settings")
NEW = ("target", "unit", "needed")
MEASURED = ("costs",)
OF_A_REGRESSION: dict[str, Any] = {
    "metric": "rmse",
    "decides": True,
    "classes_differing": None,
    "log_loss": None,
    "brier": None,
    "baseline_log_loss": None,
    "candidate_log_loss": None,
}
"""What a result says since there are classes, and what it is where there are none."""

TOO_LITTLE = {
    "compare 40 trees, not worse": "19,943 labels over 122 days; at this spread about 35,000 labels over 212 days",
    "compare 40 trees on traffic": "21,508 labels over 123 days; at this spread about 140,000 labels over 770 days",
    "compare 40 trees on too little": "1,114 labels over 7 days; at this spread about 20,000 labels over 124 days",
}
"""What changed since: minima follow from the data and the margin, and where the data does not decide, the last reason
says how much would, instead of the first one that fewer than 35 days are not judged.
"""

WIDTH = 2e-3
"""What changed since: Student's quantiles are exact, where they were good to three digits. The ends of an interval may
differ by this share of its width.
"""


def now_named(value: Any) -> Any:
    """A result of before under the names of now, without what may differ."""
    if isinstance(value, dict):
        for key, wanted in OF_A_REGRESSION.items():
            assert value.get(key, wanted) == wanted, key
        free = (*FREE, *NEW, *MEASURED, *OF_A_REGRESSION)
        return {_name(key): now_named(item) for key, item in value.items() if key not in free}
    if isinstance(value, list):
        return [now_named(item) for item in value]
    return _name(value) if isinstance(value, str) else value


def _name(text: str) -> str:
    for before, now in WORDS:
        text = text.replace(before, now)
    return text


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The default model and the one of 40 trees, by their tags in the results."""
    folder = tmp_path_factory.mktemp("packages")
    models = {"<tag>": "package", "<small>": "package_small"}
    return {tag: golden.write_package(folder / model, model) for tag, model in models.items()}


@pytest.fixture(autouse=True)
def _store(packages: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def find(tag: str) -> LocatedModel:
        return LocatedModel(packages[tag], tag)

    monkeypatch.setattr(compare_models, "find_model", find)
    monkeypatch.setattr(skew_job, "find_model", find)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """July to October."""
    directory = tmp_path_factory.mktemp("log")
    for month in (7, 8, 9, 10):
        golden.write_month(directory, month, golden.positions(month), tag="<tag>")
    return directory


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """All flights."""
    from training.source import SOURCE

    return SOURCE.load()


def _check(name: str, out: Path, dataset: Dataset | None, **settings: Any) -> None:
    asked = golden.results()[name]
    given = {**asked["settings_given"], **settings}
    before = asked["result"]
    result = run(
        before["baseline"]["name"],
        before["candidate"]["name"],
        asked["source"],
        asked["mode"],
        out,
        CompareSettings(**given),
        problem=PROBLEM,
        dataset=dataset,
    )
    document = json.loads((out / compare_job.RESULT_FILE).read_text(encoding="utf-8"))
    now, before = now_named(document), now_named(before)
    for one in (now, before):  # which rows differ most is decided by the last bits where they differ alike
        if one["agreement"] is not None:
            one["agreement"]["worst"] = [
                {key: row[key] for key in ("row", "baseline", "candidate", "delta", "fields", "features")}
                for row in one["agreement"]["worst"]
            ]
    if name in TOO_LITTLE:
        last = now["reasons"].pop()
        assert last == f"Not enough data: {TOO_LITTLE[name]} would decide a margin of 1 %."
        before["reasons"] = [reason for reason in before["reasons"] if "fewer than 35" not in reason]
    _same_intervals(now, before)
    same(now, before)
    assert (result.target, result.unit) == ("arrival_delay", "minutes")


def test_a_model_is_equivalent_to_itself(tmp_path: Path, dataset: Dataset) -> None:
    _check("compare itself, equivalent", tmp_path, dataset)


@pytest.mark.parametrize("name", ["compare 40 trees, not worse", "compare 40 trees, equivalent"])
def test_comparisons_on_the_test_months_are_the_same(name: str, tmp_path: Path, dataset: Dataset) -> None:
    _check(name, tmp_path, dataset)


@pytest.mark.parametrize("name", ["compare 40 trees on traffic", "compare 40 trees on too little"])
def test_comparisons_on_traffic_are_the_same(name: str, log: Path, tmp_path: Path) -> None:
    _check(name, tmp_path, None, traffic_dir=str(log))


def _same_intervals(now: Any, before: Any) -> None:
    """Check the intervals, and give both results those of before."""
    if isinstance(now, dict) and now.get("interval") and before.get("interval"):
        width = before["interval"][1] - before["interval"][0]
        assert now["interval"] == pytest.approx(before["interval"], rel=0, abs=WIDTH * width)
        now["interval"] = before["interval"]
    for key in before if isinstance(before, dict) else range(len(before)):
        if isinstance(before[key], dict | list):
            _same_intervals(now[key], before[key])


def _skew(name: str, directory: Path, out: Path, model: str | None = None) -> None:
    before = golden.results()[name]["result"]
    start, end = (datetime.fromisoformat(before[side]) for side in ("start", "end"))
    result = skew_job.run(Query(directory, start, end, before["on"]), out, PROBLEM, model)
    now, before = json.loads(result.to_json()), dict(before)
    for one in (now, before):
        for key in ("made_at", "fingerprint", "log"):
            one.pop(key)
        one["reasons"] = [reason.replace(str(directory), "<home>/july") for reason in one["reasons"]]
    same(now, before)


def test_a_clean_log_has_no_skew(tmp_path: Path) -> None:
    golden.write_month(tmp_path, 7, golden.positions(7), tag="<tag>", labels=False)
    _skew("skew clean", tmp_path, tmp_path / "out")


def test_an_altered_log_has_the_skew_it_had(tmp_path: Path) -> None:
    golden.write_month(tmp_path, 7, golden.positions(7)[:500], tag="<tag>", labels=False)
    _alter(tmp_path / PREDICTIONS)
    _skew("skew altered", tmp_path, tmp_path / "out")
    _skew("skew of another model", tmp_path, tmp_path / "other", "<small>")


def _alter(folder: Path) -> None:
    """As `altered` of the golden results says."""
    temp, pressure = (PROBLEM.feature_names.index(name) for name in ("temp", "pressure"))
    carrier = PROBLEM.field_names.index("carrier")

    def step(line: dict[str, Any]) -> None:
        line[FEATURES][temp] = float(np.nextafter(np.float32(line[FEATURES][temp]), np.float32(np.inf)))

    def predict(line: dict[str, Any]) -> None:
        line[OUTPUTS][0] = float(np.nextafter(line[OUTPUTS][0], np.inf))

    def lose(line: dict[str, Any]) -> None:
        line[FEATURES][pressure] = None

    def rename(line: dict[str, Any]) -> None:
        line["model"] = "flights:other"

    def empty(line: dict[str, Any]) -> None:
        line[INPUTS][carrier] = None

    def negate(line: dict[str, Any]) -> None:
        line[FEATURES][temp] = -line[FEATURES][temp]

    altered: dict[int, Callable[[dict[str, Any]], None]] = {
        10: step,
        20: predict,
        34: lose,
        40: rename,
        50: empty,
        60: negate,
    }
    assert {str(index) for index in altered} == set(golden.results()["skew altered"]["altered"])
    (path,) = folder.glob("*.jsonl")
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    for index, alter in altered.items():
        alter(lines[index])
    path.write_bytes(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines))
