from __future__ import annotations

import pytest

from tabular_bento.errors import ScoringError
from tabular_bento.serving.tracing import Tracing, wanted_exporter


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, "flights"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=delays,site=b"}, "delays"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=delays", "OTEL_SERVICE_NAME": "own"}, "own"),
    ],
)
def test_the_service_is_called_as_the_environment_has_it(
    environment: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    tracing = Tracing("console", "flights")

    assert tracing._provider.resource.attributes["service.name"] == name
    tracing.stop()


@pytest.mark.parametrize(
    ("environment", "exporter"),
    [
        ({}, None),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, None),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({"OTEL_SERVICE_NAME": "delays"}, None),
    ],
)
def test_traces_are_off_until_the_environment_asks_for_them(environment: dict[str, str], exporter: str | None) -> None:
    assert wanted_exporter(environment) == exporter


def test_an_exporter_that_is_not_known_is_refused() -> None:
    with pytest.raises(ScoringError, match="'zipkin'; otlp, console, none are known"):
        wanted_exporter({"OTEL_TRACES_EXPORTER": "zipkin"})
