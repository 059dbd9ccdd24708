from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tabular_bento.errors import ScoringError
from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.protocol import open_inference_pb2_grpc as services
from tabular_bento.serving.endpoints.grpc import server_credentials
from tabular_bento.serving.settings import ServingSettings
from tests.conftest import ROOT
from tests.flights.rows import EXAMPLE
from tests.integration.serving.certificates import Authority
from tests.integration.serving.clients import channel, outputs_of, raw
from tests.serving import ServedPort, refused, serve

TOGETHER = "TABULAR_BENTO_GRPC_TLS_CERT and TABULAR_BENTO_GRPC_TLS_KEY go together: set both, or neither."
ALL_THREE = (
    "TABULAR_BENTO_GRPC_TLS_CLIENT_CA needs TABULAR_BENTO_GRPC_TLS_CERT and TABULAR_BENTO_GRPC_TLS_KEY: set all three, "
)
UNUSABLE = "The certificates of gRPC cannot be used ("

REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "no key": ({"CERT": "server.pem"}, TOGETHER),
    "no certificate": ({"KEY": "server.key"}, TOGETHER),
    "authority alone": ({"CLIENT_CA": "authority.pem"}, ALL_THREE),
    "no file": ({"CERT": "server.pem", "KEY": "nowhere.key"}, "The certificates of gRPC cannot be read: "),
    "no key in it": ({"CERT": "server.pem", "KEY": "authority.pem"}, UNUSABLE),
    "another's key": ({"CERT": "server.pem", "KEY": "mismatch.key"}, UNUSABLE),
    "no authority in it": ({"CERT": "server.pem", "KEY": "server.key", "CLIENT_CA": "server.key"}, UNUSABLE),
}
"""Files that are no good together, by settings, and the message that they are refused with."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the certificates are."""
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    """Who signs the server's certificate, and those of the clients that it is to trust."""
    return Authority(folder, "authority")


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Authority:
    """Who signs the certificates of others."""
    return Authority(folder, "stranger")


@pytest.fixture(scope="module")
def pair(authority: Authority) -> tuple[Path, Path]:
    """Certificate and key of the server."""
    return authority.issue("server")


@pytest.fixture(scope="module")
def server_only(
    trained: dict[str, Any], pair: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedPort]:
    """A server that shows a certificate and asks for none."""
    settings = {
        "TABULAR_BENTO_MODEL": trained["tag"],
        "TABULAR_BENTO_GRPC_TLS_CERT": str(pair[0]),
        "TABULAR_BENTO_GRPC_TLS_KEY": str(pair[1]),
    }
    with serve(tmp_path_factory.mktemp("tls"), **settings) as served:
        yield served


@pytest.fixture(scope="module")
def mutual(
    trained: dict[str, Any],
    pair: tuple[Path, Path],
    authority: Authority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServedPort]:
    """A server that shows a certificate and asks for one."""
    settings = {
        "TABULAR_BENTO_MODEL": trained["tag"],
        "TABULAR_BENTO_GRPC_TLS_CERT": str(pair[0]),
        "TABULAR_BENTO_GRPC_TLS_KEY": str(pair[1]),
    }
    with serve(
        tmp_path_factory.mktemp("mutual"), **settings, TABULAR_BENTO_GRPC_TLS_CLIENT_CA=str(authority.certificate)
    ) as served:
        yield served


def trusting(authority: Authority, client: tuple[Path, Path] | None = None) -> grpc.ChannelCredentials:
    """What a client brings that trusts `authority`, and has a certificate of its own or none."""
    certificate, key = (path.read_bytes() for path in client) if client else (None, None)
    return grpc.ssl_channel_credentials(authority.certificate.read_bytes(), key, certificate)


def predict(server: ServedPort, credentials: grpc.ChannelCredentials | None) -> list[float]:
    with channel(server, credentials) as opened:
        calls = services.GRPCInferenceServiceStub(opened)  # type: ignore[no-untyped-call]
        assert calls.ServerReady(messages.ServerReadyRequest(), timeout=10).ready
        predictions: list[float] = outputs_of(calls.ModelInfer(raw([EXAMPLE]), timeout=10))["arrival_delay"]
    return predictions


def turned_away(server: ServedPort, credentials: grpc.ChannelCredentials | None) -> None:
    with pytest.raises(grpc.RpcError) as error:
        predict(server, credentials)
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE


def over_http(server: ServedPort) -> list[float]:
    return [response["arrival_delay"] for response in server.predict([EXAMPLE])]


@pytest.mark.slow
def test_a_client_that_trusts_the_authority_is_served(server_only: ServedPort, authority: Authority) -> None:
    assert predict(server_only, trusting(authority)) == over_http(server_only)


def test_a_client_without_tls_is_turned_away(mutual: ServedPort) -> None:
    turned_away(mutual, None)


@pytest.mark.slow
def test_a_client_without_tls_is_turned_away_where_no_certificate_is_asked_for(server_only: ServedPort) -> None:
    turned_away(server_only, None)


@pytest.mark.slow
def test_a_client_that_trusts_another_authority_turns_away(server_only: ServedPort, stranger: Authority) -> None:
    turned_away(server_only, trusting(stranger))


def test_a_client_with_a_certificate_of_the_authority_is_served(mutual: ServedPort, authority: Authority) -> None:
    assert predict(mutual, trusting(authority, authority.issue("client"))) == over_http(mutual)


def test_a_client_without_a_certificate_is_turned_away(mutual: ServedPort, authority: Authority) -> None:
    turned_away(mutual, trusting(authority))


def test_a_client_with_a_certificate_of_another_authority_is_turned_away(
    mutual: ServedPort, authority: Authority, stranger: Authority
) -> None:
    turned_away(mutual, trusting(authority, stranger.issue("other-client")))


@pytest.mark.parametrize("case", REFUSED)
def test_certificates_that_are_no_good_are_refused_with_a_message(
    authority: Authority, pair: tuple[Path, Path], folder: Path, case: str
) -> None:
    files, message = files_of(authority, pair, folder, case)
    settings = ServingSettings(**{name.lower(): file for name, file in files.items()})

    with pytest.raises(ScoringError) as error:
        server_credentials(settings)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if case == "no key" else pytest.mark.slow) for case in REFUSED]
)
def test_certificates_that_are_no_good_end_the_server_with_a_message(
    trained: dict[str, Any], authority: Authority, pair: tuple[Path, Path], folder: Path, case: str
) -> None:
    files, message = files_of(authority, pair, folder, case)
    settings = {f"TABULAR_BENTO_{name}": os.fspath(file) for name, file in files.items()}
    result = refused(ROOT, TABULAR_BENTO_MODEL=trained["tag"], **settings)

    assert result.returncode != 0
    assert message in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def files_of(authority: Authority, pair: tuple[Path, Path], folder: Path, case: str) -> tuple[dict[str, Path], str]:
    """The files of a case by their settings, without the prefix, and the message that they are refused with."""
    assert all(path.exists() for path in (*pair, authority.certificate))
    authority.issue("mismatch")
    given, message = REFUSED[case]
    return {f"GRPC_TLS_{name}": folder / file for name, file in given.items()}, message
