"""The Open Inference Protocol over gRPC, with health checking and reflection, on a port of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from pydantic import ValidationError

from data.errors import LogError
from scoring.doors import open_inference_pb2 as messages
from scoring.doors import open_inference_pb2_grpc as services
from scoring.doors.certificates import server_credentials
from scoring.doors.entrance import Entrance
from scoring.doors.tensors import (
    Tensor,
    check_model,
    check_outputs,
    decode,
    encode,
    input_metadata,
    output_metadata,
    output_tensors,
    rows_of_tensors,
    shown,
)
from scoring.errors import OverloadError, RequestError, ScoringError, TooLargeError, UnknownModelError
from scoring.ports import is_taken
from scoring.schema import explain
from scoring.settings import settings

logger = logging.getLogger("bentoml.doors")

SERVICE = messages.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
CONTENTS = {
    "FP64": "fp64_contents",
    "FP32": "fp32_contents",
    "INT64": "int64_contents",
    "INT32": "int_contents",
    "BYTES": "bytes_contents",
}

OTHER_CALLS = 100
"""Calls for health, readiness and metadata that are taken beside `settings.grpc_max_concurrent` for predictions."""

LINGER_SECONDS = 0.5
"""A server that ends cuts what streams are open once there was no prediction for this long."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Answer = TypeVar("Answer")


def check_door() -> None:
    """Raise ScoringError where no worker could open the door: its port is taken, or its certificates are no good."""
    if settings.grpc_port and is_taken(settings.grpc_port):
        raise ScoringError(f"The gRPC port {settings.grpc_port} is in use: free it, or set GRPC_PORT to another.")
    if settings.grpc_port:
        server_credentials()


class GRPCDoor:
    """The server behind `settings.grpc_port`; several workers share the port."""

    def __init__(self, entrance: Entrance) -> None:
        self._health = health.aio.HealthServicer()
        self._servicer = InferenceServicer(entrance)
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Open the port. Raises ScoringError where it cannot be had, or a certificate cannot be read."""
        limit = settings.max_body_mb << 20
        self._server = grpc.aio.server(
            maximum_concurrent_rpcs=settings.grpc_max_concurrent + OTHER_CALLS,
            options=[("grpc.max_receive_message_length", limit), ("grpc.max_send_message_length", limit)],
        )
        services.add_GRPCInferenceServiceServicer_to_server(  # type: ignore[no-untyped-call]
            self._servicer, self._server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        address = f"0.0.0.0:{settings.grpc_port}"
        credentials = server_credentials()
        try:
            if credentials is None:
                self._server.add_insecure_port(address)
            else:
                self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise ScoringError(f"The gRPC port {settings.grpc_port} cannot be opened: {error}") from error
        await self._server.start()
        for name in ("", SERVICE):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def drain(self) -> None:
        """Say NOT_SERVING, and go on answering."""
        await self._health.enter_graceful_shutdown()

    async def stop(self) -> None:
        """Take no more calls, and finish the predictions in flight; streams, as those that watch health, are cut."""
        if self._server is None:
            return
        stopping = asyncio.ensure_future(self._server.stop(grace=settings.timeout_seconds))
        taken = -1
        while not stopping.done():
            if self._servicer.predicting == 0 and self._servicer.taken == taken:
                await self._server.stop(None)
            taken = self._servicer.taken
            await asyncio.wait({stopping}, timeout=LINGER_SECONDS)
        await stopping


class InferenceServicer(services.GRPCInferenceServiceServicer):
    """The calls of the protocol. `taken` predictions have been asked for so far, of which `predicting` are not done."""

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance
        self.predicting = 0
        self.taken = 0

    async def ServerLive(self, request: Any, context: Context) -> Any:  # noqa: ARG002, N802
        return messages.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Context) -> Any:  # noqa: ARG002, N802
        return messages.ServerReadyResponse(ready=not self._entrance.draining)

    async def ModelReady(self, request: Any, context: Context) -> Any:  # noqa: N802
        async def answer() -> Any:
            check_model(request.name, request.version, self._entrance.package.tag)
            return messages.ModelReadyResponse(ready=not self._entrance.draining)

        return await _answering(context, answer)

    async def ServerMetadata(self, request: Any, context: Context) -> Any:  # noqa: ARG002, N802
        name, version = self._entrance.package.tag.split(":")
        return messages.ServerMetadataResponse(name=name, version=version)

    async def ModelMetadata(self, request: Any, context: Context) -> Any:  # noqa: N802
        async def answer() -> Any:
            package = self._entrance.package
            check_model(request.name, request.version, package.tag)
            name, version = package.tag.split(":")
            return messages.ModelMetadataResponse(
                name=name,
                versions=[version],
                platform=package.predictor.runner.kind,
                inputs=input_metadata(),
                outputs=output_metadata(),
            )

        return await _answering(context, answer)

    async def ModelInfer(self, request: Any, context: Context) -> Any:  # noqa: N802
        async def answer() -> Any:
            with self._entrance.request("grpc") as counted:
                if self.predicting > settings.grpc_max_concurrent:
                    raise OverloadError(
                        f"More than {settings.grpc_max_concurrent} calls at once: try again in a second."
                    )
                tag = self._entrance.package.tag
                check_model(request.model_name, request.model_version, tag)
                requested = [output.name for output in request.outputs]
                check_outputs(requested)
                rows = rows_of_tensors(_read(request))
                async with asyncio.timeout(settings.timeout_seconds):
                    answers = await self._entrance.predict(rows, counted)
                return _write(tag, request, output_tensors(answers, requested))

        self.predicting += 1
        self.taken += 1
        try:
            return await _answering(context, answer)
        finally:
            self.predicting -= 1


async def _answering(context: Context, answer: Callable[[], Awaitable[Answer]]) -> Answer:
    """What `answer` gives; each error it raises ends the call with a code and one sentence."""
    try:
        return await answer()
    except ValidationError as error:
        code, sentence = grpc.StatusCode.INVALID_ARGUMENT, explain(error).error
    except UnknownModelError as error:
        code, sentence = grpc.StatusCode.NOT_FOUND, str(error)
    except TooLargeError as error:
        code, sentence = grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)
    except RequestError as error:
        code, sentence = grpc.StatusCode.INVALID_ARGUMENT, str(error)
    except OverloadError as error:
        code, sentence = grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)
    except TimeoutError:
        code, sentence = grpc.StatusCode.DEADLINE_EXCEEDED, f"Not answered in {settings.timeout_seconds:g} seconds."
    except LogError as error:
        code, sentence = grpc.StatusCode.UNAVAILABLE, f"It could not be logged, so it is not answered: {error}"
    except Exception as error:
        logger.exception("a gRPC call failed")
        told = isinstance(error, ScoringError)
        sentence = str(error) if told else "The call failed; the log of the server tells why."
        code = grpc.StatusCode.INTERNAL
    await context.abort(code, sentence)
    raise AssertionError("abort returned")


def _read(request: Any) -> list[Tensor]:
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise RequestError(f"{len(raw)} raw_input_contents came with {len(request.inputs)} inputs.")
    if raw:
        for tensor in request.inputs:
            if tensor.HasField("contents"):
                raise RequestError(f"Input {shown(tensor.name)} has contents beside raw_input_contents.")
        return [
            decode(tensor.name, tensor.datatype, tuple(tensor.shape), content)
            for tensor, content in zip(request.inputs, raw, strict=True)
        ]
    return [_typed(tensor) for tensor in request.inputs]


def _typed(tensor: Any) -> Tensor:
    contents = CONTENTS.get(tensor.datatype)
    if contents is None:
        known = ", ".join(CONTENTS)
        raise RequestError(f"Input {shown(tensor.name)} has datatype {shown(tensor.datatype)}; {known} are read.")
    return Tensor(tensor.name, tensor.datatype, tuple(tensor.shape), list(getattr(tensor.contents, contents)))


def _write(tag: str, request: Any, outputs: Sequence[Tensor]) -> Any:
    name, version = tag.split(":")
    response = messages.ModelInferResponse(model_name=name, model_version=version, id=request.id)
    for tensor in outputs:
        output = response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        if request.raw_input_contents:
            response.raw_output_contents.append(encode(tensor))
        else:
            values = [value.encode() for value in tensor.values] if tensor.datatype == "BYTES" else tensor.values
            getattr(output.contents, CONTENTS[tensor.datatype]).extend(values)
    return response
