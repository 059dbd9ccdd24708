from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.problem import PROBLEM
from tabular_bento.features import Row
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.training import load_config
from tests.conftest import FullModel, train
from tests.flights.rows import EXAMPLE, from_json, rows
from tests.models import ROOT, SMALL
from tests.serving import serve
from training.source import Flights

CONFIG = ROOT / "training" / "config.toml"
BASELINES = ("naive_baseline", "historical_baseline", "ridge")


@dataclass(frozen=True)
class OtherModel:
    """What `tabular-bento train --json` printed of a small model, and where it saved it."""

    document: dict[str, Any]
    store: Path

    @property
    def folder(self) -> Path:
        return self.store / "models" / self.document["tag"].replace(":", "/")


def train_other(store: Path, *arguments: str) -> OtherModel:
    return OtherModel(json.loads(train("--json", *arguments, store=store).stdout.splitlines()[-1]), store)


@pytest.fixture(scope="module")
def sklearn_model(tmp_path_factory: pytest.TempPathFactory) -> OtherModel:
    """A model of the other runner."""
    return train_other(tmp_path_factory.mktemp("store"), "--config", str(SMALL), "--runner", "sklearn")


def test_the_project_s_settings_are_read_and_its_parts_do_not_meet() -> None:
    config = load_config(CONFIG, problem=PROBLEM)
    split = config.split
    assert config.gate == {
        "max_rmse": 16.0,
        "max_mae": 12.0,
        "min_r2": 0.825,
        "max_ratio_to_naive_baseline": 0.92,
        "warn_max_r2": 0.85,
    }
    assert (split.train, split.validation) == (("2013-01", "2013-06"), ("2013-07", "2013-07"))
    assert (split.calibration, split.test) == (("2013-08", "2013-08"), ("2013-09", "2013-12"))
    assert (config.folds, config.runner, config.within) == ("month", "xgboost", 15.0)


def test_settings_of_the_file_that_are_no_parameters_say_what_they_mean() -> None:
    lines = CONFIG.read_text().splitlines()
    settings = [line for line in lines if line.split("=")[0].strip() in ("seed", "folds", "within")]
    assert len(settings) == 3
    assert all("#" in line for line in settings)


@pytest.mark.slow
def test_its_numbers_are_those_that_the_data_allows(trained_full: FullModel, flights: Flights) -> None:
    trained = trained_full.document
    test, naive = trained["metrics"]["test"], trained["baselines"]["naive_baseline"]["test"]

    assert trained["data_fingerprint"] == flights.fingerprint
    assert 0.825 <= test["r2"] <= 0.85, "above is a leak"
    assert test["rmse"] <= 16.0
    assert test["mae"] <= 12.0
    assert test["rmse"] / naive["rmse"] < 0.92
    assert naive["rmse"] == pytest.approx(17.54, abs=0.02)
    assert naive["mae"] == pytest.approx(13.70, abs=0.02)
    low, high = test["rmse_interval"]
    assert low < test["rmse"] < high
    assert 0.5 < high - low < 3
    for part in ("validation", "test"):
        model = trained["metrics"][part]
        assert set(model) == {"n", "rmse", "mae", "r2", "bias", "within", "rmse_interval"}
        assert 0.6 < model["within"] < 0.9
        for baseline in BASELINES:
            assert model["rmse"] < trained["baselines"][baseline][part]["rmse"], baseline
            assert model["n"] == trained["baselines"][baseline][part]["n"]


def test_the_same_data_and_seed_give_the_same_package_and_the_same_model_bytes(
    trained: dict[str, Any], package_folder: Path, tmp_path: Path
) -> None:
    again = train_other(tmp_path, "--config", str(SMALL))

    assert again.document["tag"] != trained["tag"]
    assert {**again.document, "tag": None} == {**trained, "tag": None}
    for name in (
        "runner/model.ubj",
        "extractor.json",
        "extractor.npz",
        "parity.json",
        "parity.npz",
        "reference.parquet",
    ):
        assert (again.folder / name).read_bytes() == (package_folder / name).read_bytes(), name


def test_the_reference_is_rows_as_they_would_be_logged_with_their_labels(
    package: ModelPackage, package_folder: Path
) -> None:
    reference = pq.read_table(package_folder / "reference.parquet")
    assert reference.column_names == [
        *(f"input.{name}" for name in PROBLEM.field_names),
        *(f"feature.{name}" for name in PROBLEM.feature_names),
        "output.arrival_delay",
        "label",
    ]
    assert reference.num_rows == 5000
    assert reference["label"].null_count == 0
    months = np.unique(np.array(reference["input.sched_dep"].to_pylist(), dtype="datetime64[M]")).astype(str)
    assert months.tolist() == ["2013-01", "2013-02"]

    head = reference.slice(0, 50).to_pylist()
    requests = [
        {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
        for row in ({name: row[f"input.{name}"] for name in PROBLEM.field_names} for row in head)
    ]
    predictions = package.predict(from_json(*requests))
    assert predictions.value.tolist() == [row["output.arrival_delay"] for row in head]
    for index, name in enumerate(PROBLEM.feature_names):
        logged = np.array([row[f"feature.{name}"] for row in head], dtype=np.float32)
        assert np.array_equal(logged, predictions.features[:, index], equal_nan=True), name


def test_the_profile_covers_what_drift_is_looked_for_in(package: ModelPackage) -> None:
    columns = {f"feature.{name}" for name in PROBLEM.feature_names} | {"output.arrival_delay", "label"}
    assert package.profile["rows"] > 45_000
    assert columns <= set(package.profile["columns"])


def test_the_report_is_one_page_that_needs_no_network(package_folder: Path) -> None:
    page = (package_folder / "model_card.html").read_text()
    assert "<html" in page.lower()
    assert 'src="http' not in page
    assert len(page) > 1_000_000


def test_the_package_tells_when_and_from_what_it_was_made(package: ModelPackage, trained: dict[str, Any]) -> None:
    provenance = package.provenance
    assert provenance["data_fingerprint"] == trained["data_fingerprint"]
    assert len(provenance["commit"].split("-")[0]) == 40
    assert all(provenance["libraries"][name] for name in ("bentoml", "numpy", "tabular-bento", "xgboost-cpu"))
    assert provenance["config"]["seed"] == 20130101
    assert provenance["rows_without_label"] == 9_430 - 8_255
    assert provenance["split"]["test"]["last_day"] == "2013-09-30"
    assert provenance["folds"] == {"by": "month", "number": 2}
    assert provenance["trained_at"].endswith("+00:00")


@pytest.fixture(scope="module")
def sklearn_package(sklearn_model: OtherModel) -> ModelPackage:
    return ModelPackage.load(sklearn_model.folder, sklearn_model.document["tag"], PROBLEM)


def test_the_other_runner_passes_the_same_gate(sklearn_model: OtherModel, sklearn_package: ModelPackage) -> None:
    assert sklearn_package.predictor.runner.kind == "sklearn"
    assert [path.name for path in (sklearn_model.folder / "runner").iterdir()] == ["model.skops"]
    assert 0.75 <= sklearn_model.document["metrics"]["test"]["r2"] <= 0.85


@settings(deadline=None, max_examples=15)
@given(batch=st.lists(rows, min_size=1, max_size=15), seed=st.integers(0, 99))
def test_the_other_runner_s_predictions_do_not_depend_on_the_batch(
    sklearn_package: ModelPackage, batch: list[Row], seed: int
) -> None:
    predictor = sklearn_package.predictor
    alone = np.concatenate([predictor.predict([row]).value for row in batch])
    order = np.random.default_rng(seed).permutation(len(batch))

    assert predictor.predict(batch).value.tobytes() == alone.tobytes()
    assert predictor.predict([batch[index] for index in order]).value.tobytes() == alone[order].tobytes()


def test_the_other_runner_is_served_and_returns_the_same_bits(
    sklearn_model: OtherModel, sklearn_package: ModelPackage, tmp_path: Path
) -> None:
    tag, predictor = sklearn_package.tag, sklearn_package.predictor
    requests = [{**EXAMPLE, "dep_delay": float(delay)} for delay in range(-20, 200, 7)]
    with serve(tmp_path, cwd=ROOT, BENTOML_HOME=str(sklearn_model.store), TABULAR_BENTO_MODEL=tag) as served:
        predictions = served.predict(requests)
        status, model = served.get("/model")

    assert [prediction["arrival_delay"] for prediction in predictions] == predictor.predict(
        from_json(*requests)
    ).value.tolist()
    assert (status, model["runner"], model["tag"]) == (200, "sklearn", tag)


def test_a_model_that_the_gate_refuses_is_not_saved_and_the_command_ends_with_1(tmp_path: Path) -> None:
    config = tmp_path / "poor.toml"
    config.write_text("resamples = 100\n[xgboost]\nrounds = 1\n")
    result = train("--config", str(config), "--json", expect=1, store=tmp_path / "store")

    assert result.stderr.startswith("python -m training train: The model is not saved: on the test part RMSE")
    assert len(result.stderr.strip().splitlines()) == 1
    assert not result.stdout.strip()
    assert not list((tmp_path / "store").rglob("model.yaml"))


@pytest.mark.parametrize("source", ["/nowhere/at/all", "package://nothing", "nonsense://bucket/folder"])
def test_a_source_that_cannot_be_used_ends_with_3_and_one_line(tmp_path: Path, source: str) -> None:
    result = train("--source", source, expect=3, store=tmp_path)
    check_one_line(result)


def check_one_line(result: subprocess.CompletedProcess[str]) -> None:
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert result.stderr.startswith("python -m training train: ")
    assert not result.stdout.strip()


def test_a_table_that_is_no_table_of_flights_ends_with_3_and_names_it(tmp_path: Path) -> None:
    (tmp_path / "flights.csv").write_text("year,month\n2013,1\n")
    for name in ("planes", "airports", "weather"):
        (tmp_path / f"{name}.csv").write_text("a\n1\n")
    result = train("--source", str(tmp_path), expect=3, store=tmp_path / "store")
    check_one_line(result)


def test_months_that_the_source_does_not_have_end_with_3(tmp_path: Path) -> None:
    config = tmp_path / "late.toml"
    config.write_text('[split]\ntest = ["2031-01", "2031-02"]\n')
    result = train("--config", str(config), expect=3, store=tmp_path / "store")
    check_one_line(result)
    assert "2031-01 to 2031-02" in result.stderr


@pytest.mark.parametrize("arguments", [["--config", "nowhere.toml"], ["--runner", "pickle"], ["--seed", "x"]])
def test_wrong_arguments_end_with_2(tmp_path: Path, arguments: list[str]) -> None:
    result = train(*arguments, expect=2, store=tmp_path)
    assert "Traceback" not in result.stderr
    assert arguments[0 if arguments[0] == "--seed" else 1] in result.stderr


def test_help_says_every_option_and_exit_code() -> None:
    text = train("train", "--help").stdout
    for option in ("--config", "--source", "--runner", "--seed", "--json", "--help", "Exit codes"):
        assert option in text
    for code in "0123":
        assert code in text[text.index("Exit codes") :]
