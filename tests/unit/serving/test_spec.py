"""A service's parts follow from its problem and its settings."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import bentoml
import pytest

from tabular_bento.errors import ConfigError, PredictionError
from tabular_bento.serving import ServiceSpec, ServingSettings
from tabular_bento.serving import spec as module
from tabular_bento.serving.bento import ServeError, one_line
from tabular_bento.serving.service import computing
from tabular_bento.serving.spec import check_traffic_directory
from tests.unit.models import PARCELS
from tests.unit.problems import PRICES


def spec_of(**settings: Any) -> ServiceSpec:
    return ServiceSpec(PARCELS, ServingSettings(**settings))


def test_the_log_is_in_the_state_directory_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert spec_of().traffic_directory == tmp_path / "tabular-bento" / "parcels" / "traffic"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert spec_of().traffic_directory == tmp_path / ".local" / "state" / "tabular-bento" / "parcels" / "traffic"


def test_a_folder_that_is_given_is_taken_from_the_launch_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = ServingSettings(traffic_dir=Path("logs"), grpc_tls_cert=Path("tls/cert.pem")).absolute()
    assert settings.paths() == {
        "TABULAR_BENTO_TRAFFIC_DIR": str(tmp_path / "logs"),
        "TABULAR_BENTO_GRPC_TLS_CERT": str(tmp_path / "tls" / "cert.pem"),
    }
    monkeypatch.chdir("/")  # as BentoML does before it starts a worker
    assert ServiceSpec(PARCELS, settings).traffic_directory == tmp_path / "logs"


@pytest.mark.parametrize("inside", ["bentos/parcels/1/src/var", "models/parcels/1/traffic", "models"])
def test_a_folder_in_the_stores_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, inside: str) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"rows would be exported and deleted with it. Set TABULAR_BENTO_TRAFFIC_DIR"):
        check_traffic_directory(tmp_path / inside)
    check_traffic_directory(tmp_path / "traffic")


def test_a_folder_in_an_exported_bento_is_refused_through_links_too(tmp_path: Path) -> None:
    bento = tmp_path / "bento"
    (bento / "src").mkdir(parents=True)
    (bento / "bento.yaml").write_text("")
    (tmp_path / "link").symlink_to(bento / "src")
    with pytest.raises(ConfigError, match="inside"):
        check_traffic_directory(tmp_path / "link" / "var" / "traffic")


def test_a_service_is_to_be_reached_from_this_machine_alone_unless_reported_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("BENTOML_HOST", raising=False)
    assert spec_of().options["http"] == {"host": "127.0.0.1"}
    assert ServingSettings().grpc_host == "127.0.0.1"
    monkeypatch.setenv("BENTOML_HOST", "0.0.0.0")
    assert spec_of().options["http"] == {"host": "0.0.0.0"}
    assert ServingSettings().grpc_host == "0.0.0.0"
    assert ServingSettings(grpc_host="::1").grpc_host == "::1"


def test_the_image_has_the_python_of_the_build_and_is_open_to_its_network() -> None:
    image = spec_of().image
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert (image.python_version, image.base_image) == (version, f"python:{version}-slim")
    environment = image.commands[-1]
    assert "BENTOML_HOST=0.0.0.0" in environment
    assert "TABULAR_BENTO_TRAFFIC_DIR=/traffic" in environment
    assert "TABULAR_BENTO_CONTAINER=true" in environment


@pytest.mark.parametrize("volume", [True, False])
def test_a_container_without_a_volume_says_where_rows_go(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, volume: bool
) -> None:
    mounted = {"/"} | ({"/traffic"} if volume else set())
    monkeypatch.setattr(os.path, "ismount", lambda path: str(path) in mounted)
    spec = spec_of(container=True, grpc_port=0)
    with caplog.at_level(logging.INFO, "bentoml.service"):
        spec._report("0.0.0.0", 3000, Path("/traffic"))
    assert "HTTP at 0.0.0.0 port 3000; there is no access control" in caplog.text
    assert "logged in /traffic" in caplog.text
    assert ("lost with it. Mount a volume at /traffic" in caplog.text) is not volume


def test_a_service_is_made_of_any_problem() -> None:
    spec = ServiceSpec(PRICES, ServingSettings())

    @bentoml.service(**spec.options)
    class Service:
        @bentoml.api(
            batchable=True, max_batch_size=spec.max_batch_rows, input_spec=spec.request, output_spec=spec.response
        )
        def predict(self, rows: Any) -> Any: ...

    made: Any = Service
    spec.mount(made)
    assert made.name == "prices"
    assert set(made.apis) == {"predict", "feedback"}
    assert set(made.apis["predict"].input_spec.model_fields) == {PRICES.rows}
    assert [cls for cls, _ in made.middlewares] == [module.EndpointMiddleware]
    assert set(made.inner.feedback.input_spec.model_fields) == {"labels"}


def test_nothing_is_returned_that_is_not_logged() -> None:
    import asyncio

    compute = computing(lambda rows: [{"cost": 1.0} for _ in rows], is_async=False)  # type: ignore[arg-type, return-value]
    with pytest.raises(PredictionError, match=r"predict returned a list; it must return what log\.record gives"):
        asyncio.run(compute([(1.0, 1, "box")]))


def test_errors_are_such_that_bentoml_prints_them_as_one_line() -> None:
    from bentoml.exceptions import BentoMLException

    with pytest.raises(ServeError, match="no good") as error, one_line():
        raise ConfigError("no good")
    assert isinstance(error.value, BentoMLException)


@pytest.mark.parametrize(("name", "value"), [("WORKERS", "0"), ("LOG_FORMAT", "xml"), ("GRPC_PORT", "tcp://10.0.0.1")])
def test_a_setting_that_is_wrong_ends_the_process_with_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(f"TABULAR_BENTO_{name}", value)
    with pytest.raises(SystemExit) as error:
        ServiceSpec(PARCELS)
    assert error.value.code == 2
    assert capsys.readouterr().err.startswith(f"TABULAR_BENTO_{name}={value} in the environment: ")


def test_settings_of_others_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRPC_PORT", "tcp://10.0.0.1:3001")  # as Kubernetes sets it for a Service named grpc
    monkeypatch.setenv("TABULAR_BENTO_DRIFT_SAMPLE", "7")
    monkeypatch.delenv("TABULAR_BENTO_GRPC_PORT", raising=False)
    assert ServingSettings().grpc_port == 3001
