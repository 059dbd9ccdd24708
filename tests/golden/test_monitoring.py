"""Drift says of the golden logs what it said before the library was split off."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tabular_bento.evaluation.metrics import expansion
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.features import Columns
from tabular_bento.monitoring.drift.job import judge
from tabular_bento.monitoring.drift.result import DriftResult
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.window.blocks import INSIDE
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

ADDED = (
    "histogram",
    "performance",
    "performance_band",
    "column_settings",
    "metric",
    "interval",
    "classes",
    *("log_loss", "log_loss_interval", "brier", "brier_interval", "accuracy", "accuracy_interval"),
)
"""What results did not have; metrics of classes are null in those of a regression."""

MOVED = ("missing_limit",)
"""What has another value: gaps alarm from 5 points more on, where it was 10."""

NOT_JUDGED = ("note", "not_judged", "None")
"""All golden packages are older than the rules of gone categories, bias and distance between days, which is noted."""


@dataclass(frozen=True)
class Change:
    """What a golden window says that it did not say, and why: further findings, and another verdict.

    `reasons` are of the verdict, in place of those of before, where there are any; `gone` findings are no more.
    """

    why: str
    findings: tuple[tuple[str, str, str], ...]
    verdict: str | None = None
    reasons: tuple[str, ...] = ()
    gone: tuple[tuple[str, str, str], ...] = ()


_FAR = "single columns at more than twice their limit are warnings, whatever they weigh"
_OCTOBER = Change(
    _FAR,
    tuple(("warning", "far_drift", name) for name in ("pad", "plane_age", "pressure", "temp", "wind_speed")),
)
CHANGES = {
    "drift 2013-08": Change(
        "3 points more of wind_dir are missing",
        (("warning", "missing_more", "wind_dir"),),
        "warning",
        ("missing_more",),
    ),
    "drift 2013-09": Change("the offset is beyond its limit", (("warning", "offset_drift", "dep_delay"),)),
    "drift 2013-10": Change("the offset is beyond its limit", (("warning", "offset_drift", "dep_delay"),)),
    "drift 2013-11": Change(
        "the offset and the labels are beyond their limits",
        (("warning", "offset_drift", "dep_delay"),),
        "warning",
        ("offset_drift", "label_drift"),
    ),
    "drift 2013-12": Change(
        "the weather of the 31st is missing",
        tuple(("warning", "missing_more", name) for name in ("precip", "temp", "visib", "wind_speed")),
    ),
    "drift July to September": Change(
        _FAR, tuple(("warning", "far_drift", name) for name in ("plane_age", "pressure", "wind_speed"))
    ),
    "drift July to October": _OCTOBER,
    "drift July to October by carrier": _OCTOBER,
    "drift fault: temperatures in Celsius": Change(
        "the unit is recognized",
        (("alarm", "unit_changed", "temp"),),
        reasons=("prediction_drift", "share_of_features", "unit_changed"),
    ),
    "drift fault: every fourth carrier unknown": Change(
        "a quarter of a column being new is an alarm",
        (
            ("alarm", "new_category", "carrier"),
            *(("warning", "far_drift", name) for name in ("carrier", "gain_carrier_hour", "gain_carrier_route", "pad")),
        ),
        reasons=("missing_rise", "strong_drift", "share_of_features", "new_category"),
        gone=(("notice", "new_category", "carrier"),),
    ),
    "drift fault: delays thrice and an hour": Change(
        "the offset is beyond its limit, by far",
        (("warning", "offset_drift", "dep_delay"), ("warning", "far_drift", "dep_delay")),
    ),
}
"""All golden windows of which the rules of today say more."""

DECIDES = ("label_drift", "column_infinite")
"""Findings that only asked for a look, and are warnings now."""

SETTINGS = {"min_outcomes": "min_labels"}

SAME_SETTINGS = (
    "min_rows",
    "psi_floor",
    "max_drifted_share",
    "strong_drift",
    "min_labels",
    "max_error_ratio",
    "min_coverage",
    "maturity_hours",
    "max_bad_share",
    "out_of_range_share",
    "sample",
    "seed",
    "resamples",
)
"""Settings that mean what they did; `missing_rise` is 0.05 where it was 0.1."""


def without_free(value: Any) -> Any:
    """A result without what may differ."""
    if isinstance(value, dict):
        return {key: without_free(item) for key, item in value.items() if key not in FREE + ADDED + MOVED}
    return [without_free(item) for item in value] if isinstance(value, list) else value


def now_named(value: Any) -> Any:
    """A result of before under the names of now, without what may differ."""
    if isinstance(value, dict):
        return {_name(key): now_named(item) for key, item in value.items() if key not in FREE + ADDED + MOVED}
    if isinstance(value, list):
        return [now_named(item) for item in value]
    if value == "warning":  # of a finding: there was no verdict of that name
        return "notice"
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
        ("warning" if one["kind"] in DECIDES else one["severity"], one["kind"], str(one["column"]))
        for one in result["findings"]
    )
    result["findings"] = [one for one in found if one[1] != "unusable_value" and one != NOT_JUDGED]
    result["settings"] = {key: result["settings"][key] for key in SAME_SETTINGS}
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


VALUES = {"ratio": "ratio_to_naive_baseline", "historical_ratio": "ratio_to_historical_baseline"}
"""What intervals are of, where they have another name."""

MOST_BLOCKS = 500


def widened(now: Any, before: Any, most: int = MOST_BLOCKS) -> None:
    """Give a result of before the intervals of now where these are wider as few blocks ask for, and by nothing else."""
    if isinstance(before, list):
        for ours, theirs in zip(now, before, strict=False):
            widened(ours, theirs, most)
    if not isinstance(before, dict):
        return
    for key, item in before.items():
        if key.endswith("_interval") and item and now.get(key):
            name = key.removesuffix("_interval")
            value = np.array(before[VALUES.get(name, name)])
            least = -np.inf if name == "bias" else 0.0
            fits = [blocks for blocks in range(2, most + 1) if _fits(now[key], item, value, blocks, least)]
            assert fits, (key, now[key], item)
            before[key] = now[key]
        elif key != "estimate":
            widened(now.get(key), item, most)


def _fits(now: Any, before: Any, value: Any, blocks: int, least: float) -> bool:
    ends = np.maximum(value + expansion(blocks) * (np.array(before) - value), least)
    return bool(np.allclose(now, ends, rtol=1e-9, atol=1e-12))


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
    now, before = _of_now(result), changed(by_name(now_named(asked["result"])), CHANGES.get(name))
    days = (end - start).days
    widened(now["labels"], before["labels"], days if result.labels.blocks == "day" else MOST_BLOCKS)
    widened(now["segments"], before["segments"])
    return now, before


def _of_now(result: DriftResult) -> dict[str, Any]:
    return by_name(without_free(json.loads(result.to_json())))


def changed(before: dict[str, Any], change: Change | None) -> dict[str, Any]:
    """What a result of before says under the rules of today."""
    if change is None:
        return before
    findings = sorted([*(one for one in before["findings"] if one not in change.gone), *change.findings])
    decision = before["decision"] | ({"reasons": list(change.reasons)} if change.reasons else {})
    return before | {"findings": findings, "decision": decision, "verdict": change.verdict or before["verdict"]}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [name for name, one in golden.results().items() if one["kind"] == "drift" and "fault" not in name],
)
def test_verdicts_are_the_same(name: str, log: Path) -> None:
    now, before = _judged(name, log)
    if name == "drift another model":  # whose own profile was not kept: its rows and labels are what can be compared
        now, before = ({key: result[key] for key in ("verdict", "rows", "labels")} for result in (now, before))
    same(now, before)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_verdicts_on_faults_are_the_same(fault: str, tmp_path: Path) -> None:
    golden.write_month(tmp_path, 8, golden.positions(8)[::4], FAULTS[fault], tag="<tag>")
    now, before = _judged(f"drift fault: {fault}", tmp_path)
    same(now, before)


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


LATE = 100_000.0
"""Hours that one label of the log took; by these alone it was decided when labels are due, and is no longer."""

OF_MATURE = ("model", "naive_baseline", "historical_baseline", "ratio", "historical_ratio", "maturity", "blocks")


def without_maturity(result: dict[str, Any]) -> dict[str, Any]:
    """A result without what is said of mature predictions alone."""
    labels = {key: value for key, value in result["labels"].items() if not key.startswith(OF_MATURE)}
    segments = [{key: each[key] for key in ("value", "rows", "compared", "drifted")} for each in result["segments"]]
    columns = {name: column for name, column in result["columns"].items() if name != "label"}
    performance = ("few_labels", "observed_performance_allowed")
    findings = [one for one in result["findings"] if one[1] not in performance]
    return {**result, "labels": labels, "segments": segments, "columns": columns, "findings": findings}


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
            "sums": sums.sums[:, :INSIDE].sum(axis=0).tolist(),
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
        now, then = _of_now(judge(query, golden.TAG, settings, options).result), by_name(before["result"])
        if then["labels"]["maturity"]["hours"] == LATE:
            assert now["labels"]["maturity"]["hours"] < 3
            now, then = (without_maturity(result) for result in (now, then))
        widened(now["labels"], then["labels"])
        widened(now["segments"], then["segments"])
        same(now, then, f"{stage}, {name}: result")
