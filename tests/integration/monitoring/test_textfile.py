"""The metrics, by Prometheus' own parser."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from prometheus_client.parser import text_string_to_metric_families

from tabular_bento.monitoring.drift.job import Judgement, judge
from tabular_bento.monitoring.drift.result import Verdict
from tabular_bento.monitoring.drift.settings import DriftSettings
from tabular_bento.monitoring.drift.textfile import METRICS, PREFIX, metrics, write_failure, write_metrics
from tests.integration.monitoring.logs import year


def samples(text: str) -> dict[str, float]:
    """Values by name without the prefix; those of `verdict` by name and verdict."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge"
        assert family.documentation
        for sample in family.samples:
            assert sample.name.startswith(PREFIX)
            assert set(sample.labels) <= {"model", "version", "verdict"}
            found[" ".join([sample.name.removeprefix(PREFIX), sample.labels.get("verdict", "")]).strip()] = sample.value
    return found


def test_the_metrics_are_the_result(tmp_path: Path, july: Judgement) -> None:
    write_metrics(tmp_path / "drift.prom", july.result, 1)
    found, result = samples((tmp_path / "drift.prom").read_text()), july.result
    assert result.labels.model is not None
    assert result.estimate is not None
    assert (found["verdict drift"], found["verdict no_drift"]) == (1, 0)
    assert (found["alert"], found["exit_code"], found["rows"]) == (1, 1, 2_000)
    assert {name.split()[0] for name in found} <= set(METRICS)
    assert found["features_importance_ratio"] == result.decision.drifted_share
    assert found["rmse"] == result.labels.model.rmse
    assert found["naive_baseline_ratio"] == result.labels.ratio_to_naive_baseline
    assert found["estimated_rmse"] == result.estimate.rmse
    assert found["rejected_lines"] == 0
    assert found["window_end_timestamp_seconds"] == 1_388_534_400  # 2014-01-01 UTC
    assert found["last_run_timestamp_seconds"] == result.made_at.timestamp()


def test_a_score_of_zero_is_a_score(july: Judgement) -> None:
    columns = [one.model_copy(update={"score": 0.0}) for one in july.result.columns]
    found = samples(metrics(july.result.model_copy(update={"columns": columns}), 0))
    assert found["prediction_limit_ratio"] == 0


def test_a_warning_is_a_verdict_of_its_own(july: Judgement) -> None:
    alert = july.result.alert.model_copy(update={"alert": False})
    found = samples(metrics(july.result.model_copy(update={"verdict": "warning", "alert": alert}), 0))
    assert {name: value for name, value in found.items() if name.startswith("verdict ")} == {
        f"verdict {word}": word == "warning" for word in get_args(Verdict)
    }
    assert found["alert"] == 0


def test_what_was_not_measured_has_no_sample(tmp_path: Path) -> None:
    found = samples(metrics(judge(year(tmp_path), None, DriftSettings()).result, 2))
    assert (found["exit_code"], found["rows"]) == (2, 0)
    assert not {
        "rmse",
        "features_importance_ratio",
        "estimated_rmse",
    } & set(found)


def test_a_failed_job_says_so_and_nothing_else(tmp_path: Path, july: Judgement) -> None:
    path = tmp_path / "drift.prom"
    write_metrics(path, july.result, 1)
    write_failure(path, 3)
    assert set(samples(path.read_text())) == {
        "exit_code",
        "last_run_timestamp_seconds",
    }
    assert samples(path.read_text())["exit_code"] == 3
    assert [one.name for one in tmp_path.iterdir()] == ["drift.prom"]
    assert path.stat().st_mode & 0o777 == 0o644, "the collector is another user"
