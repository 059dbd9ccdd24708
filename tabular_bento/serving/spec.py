"""A service of BentoML from a problem: `ServiceSpec` has what its class is written with, and mounts the endpoints."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from tabular_bento.environment import PREFIX
from tabular_bento.errors import ConfigError
from tabular_bento.problem import Problem
from tabular_bento.protocol.requests import RequestSchema
from tabular_bento.scoring.releases import champion_tag
from tabular_bento.scoring.store import LocatedModel, store_home
from tabular_bento.serving import bento
from tabular_bento.serving.endpoints.grpc import check_grpc
from tabular_bento.serving.endpoints.middleware import EndpointMiddleware
from tabular_bento.serving.image import ServingImage, serving_image
from tabular_bento.serving.logs import configure_logs
from tabular_bento.serving.metrics import Metrics
from tabular_bento.serving.served import ServedModel, load_served, warn_without_release
from tabular_bento.serving.settings import ServingSettings, configured_host, read_settings, unknown_settings
from tabular_bento.serving.tracing import wanted_exporter
from tabular_bento.traffic.log import TrafficLog
from tabular_bento.traffic.schema import default_directory

logger = logging.getLogger("bentoml.service")

_STORES = ("bentos", "models")


class ServiceSpec:
    """What a service of BentoML is made of.

    Parameters
    ----------
    problem : Problem
        What is predicted and from what; the schemas follow from it.
    settings : ServingSettings, optional
        By default those of the environment. A process with one that is wrong ends with 2.

    Examples
    --------
    >>> spec = ServiceSpec(PROBLEM)  # doctest: +SKIP
    >>> @bentoml.service(**spec.options)  # doctest: +SKIP
    ... class Service: ...
    >>> spec.mount(Service)  # doctest: +SKIP
    """

    def __init__(self, problem: Problem, settings: ServingSettings | None = None) -> None:
        self.problem = problem
        self.settings = settings or read_settings()
        self.requests = RequestSchema(problem.declaration)
        self._service: Any = None

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of `bentoml.service`: name, image, workers, address, and what of BentoML stays off."""
        return {
            "name": self.problem.name,
            "image": self.image,
            "workers": self.settings.workers,
            "http": {"host": configured_host()},
            "logging": {"access": {"enabled": False}},
            "tracing": {"excluded_urls": ".*"},
        }

    @property
    def image(self) -> ServingImage:
        """The image that the bento is built into."""
        return serving_image(self.model_tag)

    @property
    def request(self) -> type[Any]:
        """The input of the prediction API: the body of POST /predict."""
        return bento.input_model(self.requests.request_model)

    @property
    def response(self) -> type[Any]:
        """The output of the prediction API: a list of predictions."""
        return bento.output_model(self.requests.prediction_model)

    @property
    def max_batch_rows(self) -> int:
        """The most rows of concurrent requests that are merged into one batch."""
        return self.settings.max_batch_rows

    @property
    def model_tag(self) -> str:
        """The model that is served from a checkout and built into a bento: by default the champion."""
        return self.settings.model or champion_tag(self.problem.name)

    @property
    def packaged_model(self) -> Any:
        """The model that BentoML packs into a bento; a class attribute of the service."""
        return bento.PackagedModel(self.model_tag)

    @property
    def traffic_directory(self) -> Path:
        """The folder of the traffic log.

        Raises
        ------
        ConfigError
            Where it is inside a bento or the model store, with which rows would be exported and deleted.
        """
        folder = (self.settings.traffic_dir or default_directory(self.problem.name)).expanduser().absolute()
        check_traffic_directory(folder)
        return folder

    def load_model(self) -> ServedModel:
        """The model of a worker: verified, and exchanged when a release is reported by SIGHUP."""
        with bento.one_line():
            return ServedModel(self.problem, self.settings, self.traffic_directory, self._pinned())

    def open_log(self) -> TrafficLog:
        """The traffic log of a worker."""
        settings = self.settings
        with bento.one_line():
            return TrafficLog(
                self.traffic_directory,
                self.problem.declaration,
                settings.traffic_roll_mb << 20,
                settings.traffic_roll_seconds,
            )

    def mount(self, service: Any) -> None:
        """Add the endpoints, the feedback API and the lifecycle hooks to a service.

        The service must be a `PredictionService`: its instances have `model`, from `load_model`, `log`, from
        `open_log`, and the API `predict`.
        """
        self._service = service
        bento.add_feedback_api(service, self.requests)
        bento.add_hooks(service, before_workers=self._prepare, on_shutdown=lambda instance: instance.log.close())
        service.add_asgi_middleware(EndpointMiddleware, spec=self)

    def start(self, instance: Any, metrics: Metrics) -> None:
        """Have a worker's model follow the champion."""
        instance.model.start(metrics)

    async def stop(self, instance: Any) -> None:
        """End what follows the champion."""
        await instance.model.stop()

    def _pinned(self) -> LocatedModel | None:
        return None if self._service is None else bento.pinned_model(self._service)

    def _prepare(self) -> None:
        """Refuse what could not be served, once, before any worker starts; the launch folder is the current one."""
        with bento.one_line():
            configure_logs(self.settings.log_format)
            for message in unknown_settings():
                logger.warning(message)
            host, port = bento.http_address()
            os.environ["BENTOML_HOST"] = host  # workers take gRPC's address from it
            os.environ["BENTOML_HOME"] = str(store_home())  # they run in another folder
            self.settings = self.settings.absolute()
            if "grpc_host" not in self.settings.model_fields_set:
                self.settings = self.settings.model_copy(update={"grpc_host": host})
            os.environ.update(self.settings.paths())
            wanted_exporter()
            warn_without_release(self.problem, self.settings, self._pinned())
            load_served(self.problem, self.settings, self._pinned())
            check_grpc(self.settings)
            folder = self.traffic_directory
            bento.forward_sighup()
        self._report(host, port, folder)

    def _report(self, host: str, port: int, folder: Path) -> None:
        settings = self.settings
        grpc = f", gRPC at {settings.grpc_host} port {settings.grpc_port}" if settings.grpc_port else ""
        logger.info("HTTP at %s port %d%s; there is no access control", host, port, grpc)
        logger.info("predictions and labels are logged in %s", folder)
        if settings.container and not _on_a_volume(folder):
            logger.warning(
                "%s is no volume: what is logged there is in the container, and is lost with it. Mount a volume at %s.",
                folder,
                folder,
            )


def check_traffic_directory(folder: Path) -> None:
    """Refuse a folder inside a bento or the model store.

    Raises
    ------
    ConfigError
        With the name of what it is inside of.
    """
    real, home = folder.resolve(), store_home().resolve()
    inside = [home / name for name in _STORES if real.is_relative_to(home / name)]
    inside += [parent for parent in (real, *real.parents) if (parent / "bento.yaml").is_file()]
    if inside:
        raise ConfigError(
            f"The traffic log cannot be in {folder}, which is inside {inside[0]}: rows would be exported and deleted "
            f"with it. Set {PREFIX}TRAFFIC_DIR to another folder."
        )


def _on_a_volume(folder: Path) -> bool:
    """Whether a folder is on a file system of its own, and not on that of the container."""
    mounted = next(path for path in (folder, *folder.parents) if os.path.ismount(path))
    return mounted != Path(mounted.root)
