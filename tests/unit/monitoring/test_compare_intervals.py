"""Comparisons, the shadow's log and skew of a problem whose predictions have intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tabular_bento.features.columns import rows_of
from tabular_bento.monitoring.comparison.job import run
from tabular_bento.monitoring.comparison.settings import CompareSettings
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.traffic.log import ShadowLog, TrafficLog
from tabular_bento.traffic.reader import EventLog
from tabular_bento.traffic.schema import PREDICTIONS, SHADOW
from tests.unit import models, wide
from tests.unit.wide import WIDE

TAGS = ("parcels:first", "parcels:second")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with models of two runners."""
    home = tmp_path_factory.mktemp("store")
    for tag, runner in zip(TAGS, ("xgboost", "sklearn"), strict=True):
        models.write(models.folder_of(home, tag), wide.trained("parcels", runner))
    (home / "models" / "parcels" / "latest").write_text("first")
    return home


def test_models_with_intervals_are_compared_by_their_predictions(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(store))
    settings = CompareSettings(max_latency_ratio=None)
    result = run(*TAGS, "test", "not_worse", tmp_path, settings, problem=WIDE, dataset=wide.dataset(WIDE))
    rmse = wide.trained("parcels").document()["metrics"]["test"]["rmse"]
    assert result.rows.compared > 500
    assert result.metrics[0].baseline == pytest.approx(rmse)


def test_the_logs_of_server_and_shadow_hold_the_bounds(store: Path, tmp_path: Path) -> None:
    packages = [ModelPackage.load(models.folder_of(store, tag), tag, WIDE) for tag in TAGS]
    rows = rows_of(wide.dataset(WIDE).where(slice(0, 30)).columns, WIDE.field_names)
    log = TrafficLog(tmp_path, WIDE.declaration, 1 << 30, 3600.0)
    first, second = (package.predict(rows) for package in packages)
    batch = log.record(rows, packages[0], first.features, first.outputs)
    log.close()
    shadow = ShadowLog(tmp_path, WIDE.declaration, 1 << 30, 3600.0)
    lines = EventLog(tmp_path / PREDICTIONS).read().to_pylist()
    shadow.record(lines, TAGS[1], second.outputs)
    shadow.close()
    assert [line["output.cost_lower"] for line in lines] == batch.column("cost_lower")
    written = EventLog(tmp_path / SHADOW).read().to_pylist()
    assert np.array([line["output.cost_upper"] for line in written]).tobytes() == second.outputs["cost_upper"].tobytes()
