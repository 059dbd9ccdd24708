"""The Open Inference Protocol over gRPC, with health checking and reflection, on a port of its own."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from tabular_bento.environment import PREFIX
from tabular_bento.errors import ScoringError
from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.protocol import open_inference_pb2_grpc as services
from tabular_bento.serving.batching import QUIET_TURNS
from tabular_bento.serving.endpoints.handler import RequestHandler
from tabular_bento.serving.endpoints.servicer import InferenceServicer
from tabular_bento.serving.ports import why_not
from tabular_bento.serving.settings import ServingSettings

SERVICE = messages.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
OTHER_CALLS = 100
"""Calls for health, readiness and metadata that are taken beside `grpc_max_concurrent` for predictions."""

SETTLE_SECONDS = 1.0
"""How long a server that ends waits, under load, for a moment without a new call."""

LINGER_SECONDS = 0.5
"""A server that ends cuts what streams are open once there was no prediction for this long."""


_CERT, _KEY, _CA = (f"{PREFIX}GRPC_TLS_{name}" for name in ("CERT", "KEY", "CLIENT_CA"))


def check_grpc(settings: ServingSettings) -> None:
    """Refuse what no worker could serve over gRPC.

    Raises
    ------
    ScoringError
        Where the port is taken or cannot be opened, or the certificates are no good.
    """
    if not settings.grpc_port:
        return
    if fault := why_not(settings.grpc_port, settings.grpc_host):
        raise ScoringError(
            f"The gRPC port {settings.grpc_port} {fault}, or set {PREFIX}GRPC_PORT or {PREFIX}GRPC_HOST to another."
        )
    server_credentials(settings)


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


class GRPCServer:
    """The server behind `settings.grpc_port`; several workers share the port.

    Parameters
    ----------
    handler : RequestHandler
        The way to the predictions.
    """

    def __init__(self, handler: RequestHandler) -> None:
        self._settings = handler.settings
        self._health = health.aio.HealthServicer()
        self._servicer = InferenceServicer(handler)
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Open the port. Raises ScoringError where it cannot be had, or a certificate cannot be read."""
        with _threads_that_give_way():
            await self._open()
        for name in ("", SERVICE):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def _open(self) -> None:
        settings = self._settings
        limit = settings.max_body_mb << 20
        self._server = grpc.aio.server(
            maximum_concurrent_rpcs=settings.grpc_max_concurrent + OTHER_CALLS,
            options=[("grpc.max_receive_message_length", limit), ("grpc.max_send_message_length", limit)],
        )
        services.add_GRPCInferenceServiceServicer_to_server(self._servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        pool = messages.DESCRIPTOR.pool  # not the default one: so it needs the other services too
        for known in (health_pb2, reflection_pb2):
            pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server, pool)
        host = f"[{settings.grpc_host}]" if ":" in settings.grpc_host else settings.grpc_host
        address = f"{host}:{settings.grpc_port}"
        credentials = server_credentials(settings)
        try:
            if credentials is None:
                self._server.add_insecure_port(address)
            else:
                self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise ScoringError(f"The gRPC port cannot be opened at {address}: {error}") from error
        await self._server.start()

    async def drain(self) -> None:
        """Report NOT_SERVING, and go on predicting."""
        await self._health.enter_graceful_shutdown()

    async def stop(self) -> None:
        """Take no more calls, and finish the predictions in progress; streams, as those that watch health, are cut."""
        if self._server is None:
            return
        await self._settle()
        stopping = asyncio.ensure_future(self._server.stop(grace=self._settings.timeout_seconds))
        taken = -1
        while not stopping.done():
            if self._servicer.predicting == 0 and self._servicer.taken == taken:
                await self._server.stop(None)
            taken = self._servicer.taken
            await asyncio.wait({stopping}, timeout=LINGER_SECONDS)
        await stopping

    async def _settle(self) -> None:
        """Wait for a moment when no call is on its way into the event loop: a server that ends would cancel it."""
        seen, quiet, ends = -1, 0, time.monotonic() + SETTLE_SECONDS
        while quiet < QUIET_TURNS and time.monotonic() < ends:
            await asyncio.sleep(0)
            quiet = quiet + 1 if self._servicer.taken == seen else 0
            seen = self._servicer.taken


@contextmanager
def _threads_that_give_way() -> Iterator[None]:
    """Threads that are started within do not interrupt the event loop when they wake, but run when it waits.

    gRPC's own threads wake for every message; on a core that they share with the event loop, that would cost a fifth of
    the throughput. Only Linux has this.
    """
    if not hasattr(os, "SCHED_BATCH"):
        yield
        return
    before, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setscheduler(0, before, parameters)
