"""The calls of the Open Inference Protocol over gRPC."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import grpc
from pydantic import ValidationError

from data.errors import LogError
from scoring.doors import open_inference_pb2 as messages
from scoring.doors import open_inference_pb2_grpc as services
from scoring.doors.entrance import Entrance
from scoring.doors.inference import read, write
from scoring.doors.tensors import check_model, input_metadata, output_metadata, scored_by
from scoring.errors import OverloadError, RequestError, ScoringError, TooLargeError, UnknownModelError
from scoring.schema import explain
from scoring.settings import settings

logger = logging.getLogger("bentoml.doors")

STREAM_AHEAD = 100
"""Requests of one stream that are computed at a time; more wait in the connection."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Answer = TypeVar("Answer")


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
        return await _answering(context, lambda: self._infer(request))

    async def ModelStreamInfer(self, request_iterator: Any, context: Context) -> None:  # noqa: ARG002, N802
        """Answers in the order of the requests, which are computed side by side."""
        answers: asyncio.Queue[asyncio.Task[Any] | None] = asyncio.Queue(STREAM_AHEAD)

        async def send() -> None:
            while (answer := await answers.get()) is not None:
                await context.write(await answer)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(send())
            while (request := await context.read()) is not grpc.aio.EOF:
                await answers.put(tasks.create_task(self._infer_of_stream(request)))
            await answers.put(None)

    async def _infer_of_stream(self, request: Any) -> Any:
        request_id = request.id
        try:
            return messages.ModelStreamInferResponse(infer_response=await self._infer(request))
        except Exception as error:
            _, sentence = _explained(error)
            named = messages.ModelInferResponse(id=request_id)
            return messages.ModelStreamInferResponse(error_message=sentence, infer_response=named)

    async def _infer(self, request: Any) -> Any:
        self.predicting += 1
        self.taken += 1
        try:
            with self._entrance.request("grpc") as counted:
                if self.predicting > settings.grpc_max_concurrent:
                    raise OverloadError(
                        f"More than {settings.grpc_max_concurrent} calls at once: try again in a second."
                    )
                tag = self._entrance.package.tag
                version = request.model_version
                check_model(request.model_name, version, tag)
                asked = read(request)
                async with asyncio.timeout(settings.timeout_seconds):
                    answers = await self._entrance.predict(asked.rows, counted)
                return write(scored_by(answers, version, tag), asked, answers)
        finally:
            self.predicting -= 1


async def _answering(context: Context, answer: Callable[[], Awaitable[Answer]]) -> Answer:
    """What `answer` gives; each error it raises ends the call with a code and one sentence."""
    try:
        return await answer()
    except Exception as error:
        code, sentence = _explained(error)
    await context.abort(code, sentence)
    raise AssertionError("abort returned")


def _explained(error: Exception) -> tuple[grpc.StatusCode, str]:
    """Code and sentence of an error; one that nobody foresaw is logged."""
    match error:
        case ValidationError():
            return grpc.StatusCode.INVALID_ARGUMENT, explain(error).error
        case UnknownModelError():
            return grpc.StatusCode.NOT_FOUND, str(error)
        case TooLargeError() | OverloadError():
            return grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)
        case RequestError():
            return grpc.StatusCode.INVALID_ARGUMENT, str(error)
        case TimeoutError():
            return grpc.StatusCode.DEADLINE_EXCEEDED, f"Not answered in {settings.timeout_seconds:g} seconds."
        case LogError():
            return grpc.StatusCode.UNAVAILABLE, f"It could not be logged, so it is not answered: {error}"
    logger.error("a gRPC call failed", exc_info=error)
    told = isinstance(error, ScoringError)
    return grpc.StatusCode.INTERNAL, str(error) if told else "The call failed; the log of the server tells why."
