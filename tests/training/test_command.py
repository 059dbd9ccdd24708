from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.definition import EXAMPLE, FIELD_NAMES, HISTORICAL_GAIN, TARGET
from features.functions import FEATURE_NAMES
from features.values import Row
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.traffic.log import FEATURE_PREFIX
from tests.conftest import ROOT, train
from tests.rows import from_json, rows
from tests.serving import serve
from tests.training.conftest import OtherModel, train_other
from training.source import Flights


def test_its_numbers_are_those_that_the_data_allows(trained: dict[str, Any], flights: Flights) -> None:
    test, zero_gain = trained["metrics"]["test"], trained["baselines"]["zero_gain"]["test"]

    assert trained["data_fingerprint"] == flights.fingerprint
    assert 0.825 <= test["r2"] <= 0.85, "above is a leak"
    assert test["rmse"] <= 16.0
    assert test["mae"] <= 12.0
    assert test["rmse"] / zero_gain["rmse"] < 0.92
    assert zero_gain["rmse"] == pytest.approx(17.54, abs=0.02)
    assert zero_gain["mae"] == pytest.approx(13.70, abs=0.02)
    low, high = test["rmse_interval"]
    assert low < test["rmse"] < high
    assert 0.5 < high - low < 3
    for part in ("validation", "test"):
        model = trained["metrics"][part]
        assert set(model) == {"n", "rmse", "mae", "r2", "bias", "within_15", "rmse_interval"}
        assert 0.6 < model["within_15"] < 0.9
        for baseline in ("zero_gain", HISTORICAL_GAIN, "ridge"):
            assert model["rmse"] < trained["baselines"][baseline][part]["rmse"], baseline
            assert model["n"] == trained["baselines"][baseline][part]["n"]


def test_the_same_data_and_seed_give_the_same_package_and_the_same_model_bytes(
    trained: dict[str, Any], package_folder: Path, tmp_path: Path
) -> None:
    again = train_other(tmp_path)

    assert again.document["tag"] != trained["tag"]
    assert {**again.document, "tag": None} == {**trained, "tag": None}
    for name in ("model.ubj", "extractor.json", "extractor.npz", "parity.json", "parity.npz", "reference.parquet"):
        assert (again.folder / name).read_bytes() == (package_folder / name).read_bytes(), name


def test_the_reference_is_rows_as_they_would_be_logged_with_what_came_true(
    package: ModelPackage, package_folder: Path
) -> None:
    reference = pq.read_table(package_folder / "reference.parquet")
    assert reference.column_names == [
        *FIELD_NAMES,
        *(FEATURE_PREFIX + name for name in FEATURE_NAMES),
        TARGET.name,
        "outcome",
    ]
    assert reference.num_rows == 5000
    assert reference["outcome"].null_count == 0
    months = np.unique(np.array(reference["sched_dep"].to_pylist(), dtype="datetime64[M]")).astype(str)
    assert months.tolist() == [f"2013-0{month}" for month in range(1, 7)]

    head = reference.slice(0, 50).to_pylist()
    requests = [
        {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
        for row in ({name: row[name] for name in FIELD_NAMES} for row in head)
    ]
    predictions = package.predictor.predict(from_json(*requests))
    assert predictions.target.tolist() == [row[TARGET.name] for row in head]
    for index, name in enumerate(FEATURE_NAMES):
        logged = np.array([row[FEATURE_PREFIX + name] for row in head], dtype=np.float32)
        assert np.array_equal(logged, predictions.features[:, index], equal_nan=True), name


def test_the_profile_covers_what_drift_is_looked_for_in(package: ModelPackage) -> None:
    assert package.profile["rows"] > 150_000
    assert {*FEATURE_NAMES, TARGET.name, "carrier", "origin"} <= set(package.profile["columns"])


def test_the_report_is_one_page_that_needs_no_network(package_folder: Path) -> None:
    page = (package_folder / "training_report.html").read_text()
    assert "<html" in page.lower()
    assert 'src="http' not in page
    assert len(page) > 1_000_000


def test_the_package_tells_when_and_from_what_it_was_made(package: ModelPackage, trained: dict[str, Any]) -> None:
    provenance = package.provenance
    assert provenance["data_fingerprint"] == trained["data_fingerprint"]
    assert len(provenance["commit"].split("-")[0]) == 40
    assert all(provenance["libraries"][name] for name in ("bentoml", "numpy", "scikit-learn", "skops", "xgboost-cpu"))
    assert provenance["config"]["seed"] == package.provenance["config"]["seed"]
    assert provenance["trained_at"].endswith("+00:00")


@pytest.fixture(scope="module")
def sklearn_package(sklearn_model: OtherModel) -> ModelPackage:
    return ModelPackage.load(sklearn_model.folder, sklearn_model.document["tag"])


def test_the_other_runner_passes_the_same_gate(sklearn_model: OtherModel, sklearn_package: ModelPackage) -> None:
    assert sklearn_package.predictor.runner.kind == "sklearn"
    assert (sklearn_model.folder / "model.skops").exists()
    assert not (sklearn_model.folder / "model.ubj").exists()
    assert 0.825 <= sklearn_model.document["metrics"]["test"]["r2"] <= 0.85


@settings(deadline=None, max_examples=15)
@given(batch=st.lists(rows, min_size=1, max_size=15), seed=st.integers(0, 99))
def test_the_other_runner_s_predictions_do_not_depend_on_the_batch(
    sklearn_package: ModelPackage, batch: list[Row], seed: int
) -> None:
    predictor = sklearn_package.predictor
    alone = np.concatenate([predictor.predict([row]).target for row in batch])
    order = np.random.default_rng(seed).permutation(len(batch))

    assert predictor.predict(batch).target.tobytes() == alone.tobytes()
    assert predictor.predict([batch[index] for index in order]).target.tobytes() == alone[order].tobytes()


def test_the_other_runner_is_served_and_answers_the_same_bits(
    sklearn_model: OtherModel, sklearn_package: ModelPackage, tmp_path: Path
) -> None:
    tag, predictor = sklearn_package.tag, sklearn_package.predictor
    requests = [{**EXAMPLE, "dep_delay": float(delay)} for delay in range(-20, 200, 7)]
    with serve(tmp_path, cwd=ROOT, BENTOML_HOME=str(sklearn_model.store), MODEL_TAG=tag) as served:
        answers = served.predict(requests)
        status, model = served.get("/model")

    assert [answer[TARGET.name] for answer in answers] == predictor.predict(from_json(*requests)).target.tolist()
    assert (status, model["runner"], model["tag"]) == (200, "sklearn", tag)


def test_a_model_that_the_gate_refuses_is_not_saved_and_the_command_ends_with_1(tmp_path: Path) -> None:
    config = tmp_path / "poor.toml"
    config.write_text("resamples = 100\n[xgboost]\nrounds = 1\n")
    result = train("--config", str(config), "--json", expect=1, store=tmp_path / "store")

    assert result.stderr.startswith("training: The model is not saved: on the test months RMSE")
    assert len(result.stderr.strip().splitlines()) == 1
    assert not result.stdout.strip()
    assert not list((tmp_path / "store").rglob("model.yaml"))


@pytest.mark.parametrize("source", ["/nowhere/at/all", "package://nothing", "nonsense://bucket/folder"])
def test_a_source_that_cannot_be_used_ends_with_3_and_one_sentence(tmp_path: Path, source: str) -> None:
    result = train("--source", source, expect=3, store=tmp_path)
    check_one_sentence(result)


def check_one_sentence(result: subprocess.CompletedProcess[str]) -> None:
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert result.stderr.startswith("training: ")
    assert not result.stdout.strip()


def test_a_table_that_is_no_table_of_flights_ends_with_3_and_names_it(tmp_path: Path) -> None:
    (tmp_path / "flights.csv").write_text("year,month\n2013,1\n")
    for name in ("planes", "airports", "weather"):
        (tmp_path / f"{name}.csv").write_text("a\n1\n")
    result = train("--source", str(tmp_path), expect=3, store=tmp_path / "store")
    check_one_sentence(result)


def test_months_that_the_source_does_not_have_end_with_3(tmp_path: Path) -> None:
    config = tmp_path / "late.toml"
    config.write_text('[split]\ntest = ["2031-01", "2031-02"]\n')
    result = train("--config", str(config), expect=3, store=tmp_path / "store")
    check_one_sentence(result)
    assert "2031-01 to 2031-02" in result.stderr


@pytest.mark.parametrize("arguments", [["--config", "nowhere.toml"], ["--runner", "pickle"], ["--seed", "x"]])
def test_wrong_arguments_end_with_2(tmp_path: Path, arguments: list[str]) -> None:
    result = train(*arguments, expect=2, store=tmp_path)
    assert "Traceback" not in result.stderr
    assert arguments[1] in result.stderr


def test_help_tells_every_option_and_exit_code() -> None:
    text = train("--help").stdout
    for option in ("--config", "--source", "--runner", "--seed", "--json", "--help", "exit codes"):
        assert option in text
    for code in "0123":
        assert code in text[text.index("exit codes") :]
