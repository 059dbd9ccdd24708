"""The certificates of gRPC, read and tried before they are used."""

from __future__ import annotations

import ssl

import grpc

from tabular_bento.errors import ScoringError
from tabular_bento.serving.settings import PREFIX, ServingSettings

_CERT, _KEY, _CA = (f"{PREFIX}GRPC_TLS_{name}" for name in ("CERT", "KEY", "CLIENT_CA"))


def server_credentials(settings: ServingSettings) -> grpc.ServerCredentials | None:
    """TLS as the settings want it, None where they want none. Raises ScoringError where it cannot be had."""
    certificate, key, authority = settings.grpc_tls_cert, settings.grpc_tls_key, settings.grpc_tls_client_ca
    if certificate is None and key is None:
        if authority is not None:
            raise ScoringError(f"{_CA} needs {_CERT} and {_KEY}: set all three, or none.")
        return None
    if certificate is None or key is None:
        raise ScoringError(f"{_CERT} and {_KEY} go together: set both, or neither.")
    try:
        pair = (key.read_bytes(), certificate.read_bytes())
        root = authority.read_bytes() if authority else None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password="")
        if authority:
            context.load_verify_locations(authority)
    except ssl.SSLError as error:
        raise ScoringError(
            f"The certificates of gRPC cannot be used ({error.reason or error}): {_CERT} and {_KEY} must be PEM files "
            f"that belong together, and {_CA} that of an authority."
        ) from error
    except OSError as error:
        raise ScoringError(f"The certificates of gRPC cannot be read: {error}.") from error
    return grpc.ssl_server_credentials([pair], root, require_client_auth=root is not None)
