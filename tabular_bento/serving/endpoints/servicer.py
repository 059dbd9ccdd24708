"""The calls of the Open Inference Protocol over gRPC."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

import grpc

from tabular_bento.errors import OverloadError
from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.protocol import open_inference_pb2_grpc as services
from tabular_bento.protocol.messages import Asked, read, write
from tabular_bento.protocol.predictions import Answers
from tabular_bento.protocol.tensors import check_model, input_metadata, output_metadata, scored_by
from tabular_bento.serving.endpoints.handler import REQUEST_ID, Entrance
from tabular_bento.serving.settings import settings
from tabular_bento.serving.status import STATUS, ending, sentence

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
        return await _answering(context, lambda: self._begin(request, context).response())

    async def ModelStreamInfer(self, request_iterator: Any, context: Context) -> None:  # noqa: ARG002, N802
        """Answers in the order of the requests, which are computed side by side."""
        begun: asyncio.Queue[_Inference | None] = asyncio.Queue(STREAM_AHEAD)
        sending = asyncio.create_task(_send(context, begun))
        try:
            while (request := await context.read()) is not grpc.aio.EOF:
                inference = self._begin(request, context)
                try:
                    await begun.put(inference)
                except asyncio.CancelledError:
                    inference.abandon()
                    raise
            await begun.put(None)
            await sending
        finally:
            sending.cancel()
            while not begun.empty():
                if (waiting := begun.get_nowait()) is not None:
                    waiting.abandon()

    def _begin(self, request: Any, context: Context) -> _Inference:
        self.predicting += 1
        self.taken += 1
        inference = _Inference(self._entrance, request.id, context, self._ended)
        inference.begin(request, self.predicting > settings.grpc_max_concurrent)
        return inference

    def _ended(self) -> None:
        self.predicting -= 1


class _Inference:
    """One request for predictions: its rows are in the queue once it is begun, and its response comes with them."""

    def __init__(self, entrance: Entrance, request_id: str, context: Context, ended: Callable[[], None]) -> None:
        self.request_id = request_id
        self._entrance = entrance
        self._ended = ended
        self._counting = entrance.request("grpc", lambda: _headers(context, request_id))
        self._error: Exception | None = None
        self._version = ""
        self._asked: Asked
        self._answers: asyncio.Future[Answers]

    def begin(self, request: Any, crowded: bool) -> None:
        """Read the request and queue its rows; what is wrong with it is told by `response`."""
        counted = self._counting.__enter__()
        try:
            if crowded:
                raise OverloadError(f"More than {settings.grpc_max_concurrent} calls at once: try again in a second.")
            self._version = request.model_version
            check_model(request.model_name, self._version, self._entrance.package.tag)
            self._asked = read(request)
            self._answers = self._entrance.predict(self._asked.rows, counted)
        except Exception as error:
            self._end(error)
            self._error = error

    async def response(self) -> Any:
        """The ModelInferResponse. Raises what was wrong with the request, or TimeoutError."""
        if self._error is not None:
            raise self._error
        try:
            answers = await self._answers
            tag = scored_by(answers, self._version, self._entrance.package.tag)
            response = write(tag, self._asked, answers)
        except BaseException as error:
            self._end(error)
            raise
        self._end(None)
        return response

    def abandon(self) -> None:
        """Drop it: nobody waits for the response any more."""
        if self._error is None:
            self._answers.cancel()
            self._end(asyncio.CancelledError())

    def _end(self, error: BaseException | None) -> None:
        self._ended()
        with suppress(BaseException):
            self._counting.__exit__(type(error) if error else None, error, None)


def _headers(context: Context, request_id: str) -> dict[str, str]:
    """The metadata of a call, with the request's own id for want of another."""
    metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    return {REQUEST_ID: request_id} | metadata


async def _send(context: Context, begun: asyncio.Queue[_Inference | None]) -> None:
    while (inference := await begun.get()) is not None:
        try:
            response = messages.ModelStreamInferResponse(infer_response=await inference.response())
        except Exception as error:
            named = messages.ModelInferResponse(id=inference.request_id)
            response = messages.ModelStreamInferResponse(error_message=_explained(error)[1], infer_response=named)
        await context.write(response)


async def _answering(context: Context, answer: Callable[[], Awaitable[Answer]]) -> Answer:
    """What `answer` gives; each error it raises ends the call with a code and one sentence."""
    try:
        return await answer()
    except Exception as error:
        code, told = _explained(error)
    await context.abort(code, told)
    raise AssertionError("abort returned")


def _explained(error: Exception) -> tuple[grpc.StatusCode, str]:
    """Code and sentence of an error; one that nobody foresaw is logged."""
    end = ending(error)
    if end == "failed":
        logger.error("a gRPC call failed", exc_info=error)
    return grpc.StatusCode[STATUS[end][1]], sentence(error)
