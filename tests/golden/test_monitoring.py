"""Drift says of the golden logs what it said before the library was split off."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.features import Columns
from tabular_bento.monitoring.drift.job import judge
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.data import Query
from tabular_bento.monitoring.window.scan import ExecutionOptions, read_window
from tabular_bento.traffic.schema import LABELS, PREDICTIONS
from tabular_bento.traffic.sealing import seal
from tests.golden import monitored as golden

WEATHER = ("temp", "wind_dir", "wind_speed", "precip", "visib", "pressure")

WORDS = (
    ("ratio_to_zero_gain", "ratio_to_naive_baseline"),
    ("ratio_to_historical_gain", "ratio_to_historical_baseline"),
    ("zero_gain", "naive_baseline"),
    ("historical_gain", "historical_baseline"),
    ("realised_error", "observed_performance"),
    ("outcome", "label"),
    ("torn", "truncated"),
)
"""Names in results, and what they were called before."""

FREE = ("format", "made_at", "text", "look_at", "reason", "log", "examples", "declaration")
"""What may differ: words, and where the log is."""

ADDED = ("histogram", "performance", "performance_band")
"""What results did not have."""

SEVERITIES = {"warning": "notice"}
"""What severities of findings that decide nothing were called."""

SETTINGS = {"min_outcomes": "min_labels"}


def now_named(value: Any) -> Any:
    """A result of before under the names of now, without what may differ."""
    if isinstance(value, dict):
        return {_name(key): now_named(item) for key, item in value.items() if key not in FREE + ADDED}
    if isinstance(value, list):
        return [now_named(item) for item in value]
    return _name(value) if isinstance(value, str) else value


def _name(text: str) -> str:
    for before, now in WORDS:
        text = text.replace(before, now)
    return text


def by_name(result: dict[str, Any]) -> dict[str, Any]:
    """A result whose columns are found by their names, whose order is not compared where scores are equal."""
    result = dict(result)
    result["columns"] = {column["name"]: column for column in result["columns"]}
    found = sorted(
        (SEVERITIES.get(one["severity"], one["severity"]), one["kind"], str(one["column"]))
        for one in result["findings"]
    )
    result["findings"] = [one for one in found if one[1] != "unusable_value"]
    unusable = {name.partition(".")[2] or name: count for name, count in result["rows"]["unusable"].items()}
    result["rows"] = {**result["rows"], "unusable": unusable}
    return result


def same(now: Any, before: Any, where: str = "") -> None:
    """Compare exactly but for numbers with a fraction, which may differ by 1e-9 of their size."""
    if isinstance(before, dict):
        assert set(now) == set(before), where
        for key in before:
            same(now[key], before[key], f"{where}.{key}")
    elif isinstance(before, list | tuple):
        assert len(now) == len(before), (where, now, before)
        for index, item in enumerate(before):
            same(now[index], item, f"{where}[{index}]")
    elif isinstance(before, float) and isinstance(now, float):
        assert now == pytest.approx(before, rel=1e-9, abs=1e-12), where
    else:
        assert now == before, where


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The default model and the one of 40 trees, by their tags in the results."""
    folder = tmp_path_factory.mktemp("packages")
    models = {"<tag>": "package", "<small>": "package_small"}
    return {tag: golden.write_package(folder / model, model) for tag, model in models.items()}


@pytest.fixture(autouse=True)
def _store(packages: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reference, "load", lambda tag: Reference.read(packages.get(tag, packages["<tag>"]), tag))


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six months."""
    directory = tmp_path_factory.mktemp("log")
    for month in golden.MONTHS:
        golden.write_month(directory, month, golden.positions(month), tag="<tag>")
    return directory


def _celsius(columns: Columns) -> dict[str, Any]:
    return {"temp": (np.asarray(columns["temp"]) - 32) * 5 / 9}


def _weatherless(columns: Columns) -> dict[str, Any]:
    return {name: np.full(len(columns["temp"]), np.nan) for name in WEATHER}


def _carriers(columns: Columns) -> dict[str, Any]:
    values = np.array(columns["carrier"], dtype=object)
    values[::4] = "ZZ"
    return {"carrier": values}


def _delays(columns: Columns) -> dict[str, Any]:
    return {"dep_delay": np.minimum(np.asarray(columns["dep_delay"]) * 3 + 60, 2880.0)}


FAULTS: dict[str, Callable[[Columns], dict[str, Any]]] = {
    "temperatures in Celsius": _celsius,
    "no weather": _weatherless,
    "every fourth carrier unknown": _carriers,
    "delays thrice and an hour": _delays,
}


def _judged(name: str, directory: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What drift says of a golden window, and what it said."""
    asked = golden.results()[name]
    window = asked["window"]
    start, end = (datetime.fromisoformat(window[side]) for side in ("start", "end"))
    settings = {SETTINGS.get(key, key): value for key, value in asked["settings_given"].items()}
    options = ExecutionOptions(now=datetime.fromisoformat(golden.inputs()["now"]))
    query = Query(directory, start, end, window["on"], window["by"])
    result = judge(query, asked["result"]["model"], DriftSettings(**settings), options).result
    return now_named(json.loads(result.to_json())), now_named(asked["result"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [name for name, one in golden.results().items() if one["kind"] == "drift" and "fault" not in name],
)
def test_verdicts_are_the_same(name: str, log: Path) -> None:
    now, before = (by_name(result) for result in _judged(name, log))
    if name == "drift another model":  # whose own profile was not kept: its rows and labels are what can be compared
        now, before = ({key: result[key] for key in ("verdict", "rows", "labels")} for result in (now, before))
    same(now, before)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_verdicts_on_faults_are_the_same(fault: str, tmp_path: Path) -> None:
    golden.write_month(tmp_path, 8, golden.positions(8)[::4], FAULTS[fault], tag="<tag>")
    now, before = _judged(f"drift fault: {fault}", tmp_path)
    same(by_name(now), by_name(before))


QUERIES = {
    "sched_dep": ("2013-07-01", "2013-08-01", "sched_dep", None),
    "time": ("2013-07-01", "2013-08-01", "time", None),
    "half": ("2013-07-10", "2013-07-20", "sched_dep", None),
    "all": ("1900-01-01", "2200-01-01", "sched_dep", None),
    "due after 3 hours": ("2013-07-01", "2013-08-01", "sched_dep", 3.0),
}


def test_the_adversarial_log_is_joined_as_it_was(tmp_path: Path) -> None:
    with ExitStack() as open_files:
        golden.write_adversarial(tmp_path, open_files)
        _compare_stage("as written", tmp_path)


@pytest.mark.slow
def test_sealing_changes_nothing_of_it(tmp_path: Path) -> None:
    with ExitStack() as open_files:
        golden.write_adversarial(tmp_path, open_files)
        unsealed = {path: path.read_bytes() for path in (tmp_path / PREDICTIONS).glob("*.jsonl")}
        for stream in (PREDICTIONS, LABELS):
            seal(tmp_path / stream)
        _compare_stage("sealed but for the open ones", tmp_path)
        back = min(unsealed)
        assert not back.exists()
        back.write_bytes(unsealed[back])
        _compare_stage("one segment is there beside its Parquet", tmp_path)
        back.unlink()
    for stream in (PREDICTIONS, LABELS):
        seal(tmp_path / stream)
    _compare_stage("sealed, all", tmp_path)


def _compare_stage(stage: str, log: Path) -> None:
    for name, (start, end, on, due) in QUERIES.items():
        before = now_named(golden.expected()["stages"][stage][name])
        query = Query(log, datetime.fromisoformat(start), datetime.fromisoformat(end), on, "carrier")
        settings = DriftSettings(min_rows=100, min_labels=50, max_bad_share=0.5, maturity_hours=due)
        options = ExecutionOptions(now=datetime.fromisoformat(golden.expected()["now"]))
        data = read_window(
            query,
            Reference.load(golden.TAG),
            options,
            sample=settings.sample,
            seed=settings.seed,
            maturity_hours=settings.maturity_hours,
        )
        joined = {key: int(np.sum(value)) for key, value in vars(data.joined).items()}
        same(joined, before["joined"], f"{stage}, {name}: joined")
        sums = data.blocks
        blocks = {
            "rows": int(sums.rows.sum()),
            "matched": int(sums.matched.sum()),
            "gains": int(sums.historical.sum()),
            "sums": sums.sums.sum(axis=0).tolist(),
        }
        same(blocks, before["blocks"], f"{stage}, {name}: blocks")
        tallies = {
            key: {"counts": tally.counts.tolist(), "infinite": tally.infinite} for key, tally in data.tallies.items()
        }
        counted = {
            key: {"counts": tally["counts"], "infinite": tally["infinite"]} for key, tally in before["tallies"].items()
        }
        same(tallies, counted, f"{stage}, {name}: tallies")
        assert sorted(data.sample["prediction_id"].to_pylist()) == before["sample_ids"]
        result = now_named(json.loads(judge(query, golden.TAG, settings, options).result.to_json()))
        same(by_name(result), by_name(before["result"]), f"{stage}, {name}: result")
