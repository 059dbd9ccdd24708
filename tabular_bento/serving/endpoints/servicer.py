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
from tabular_bento.protocol.messages import InferenceMessages, InferenceRequest, described_tensors
from tabular_bento.protocol.predictions import PredictionBatch
from tabular_bento.protocol.tensors import check_model, scored_by
from tabular_bento.serving.endpoints.handler import REQUEST_ID, RequestHandler
from tabular_bento.serving.status import CODES, status_of

logger = logging.getLogger("bentoml.endpoints")

STREAM_AHEAD = 100
"""Requests of one stream that are computed at a time; more wait in the connection."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
T = TypeVar("T")


class InferenceServicer(services.GRPCInferenceServiceServicer):
    """The calls of the protocol.

    Parameters
    ----------
    handler : RequestHandler
        The way to the predictions.

    Attributes
    ----------
    taken, predicting : int
        Predictions that were asked for so far, and those of them that are not done.
    """

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler
        self._messages = InferenceMessages(handler.tensors)
        self.predicting = 0
        self.taken = 0

    async def ServerLive(self, request: Any, context: Context) -> Any:  # noqa: ARG002, N802
        return messages.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Context) -> Any:  # noqa: ARG002, N802
        return messages.ServerReadyResponse(ready=not self._handler.draining)

    async def ModelReady(self, request: Any, context: Context) -> Any:  # noqa: N802
        async def respond() -> Any:
            check_model(request.name, request.version, self._handler.package.tag)
            return messages.ModelReadyResponse(ready=not self._handler.draining)

        return await self._guarded(context, respond)

    async def ServerMetadata(self, request: Any, context: Context) -> Any:  # noqa: ARG002, N802
        name, version = self._handler.package.tag.split(":")
        return messages.ServerMetadataResponse(name=name, version=version)

    async def ModelMetadata(self, request: Any, context: Context) -> Any:  # noqa: N802
        async def respond() -> Any:
            package = self._handler.package
            check_model(request.name, request.version, package.tag)
            name, version = package.tag.split(":")
            return messages.ModelMetadataResponse(
                name=name,
                versions=[version],
                platform=package.runner.kind,
                inputs=described_tensors(self._handler.tensors.input_metadata),
                outputs=described_tensors(self._handler.tensors.output_metadata),
            )

        return await self._guarded(context, respond)

    async def ModelInfer(self, request: Any, context: Context) -> Any:  # noqa: N802
        return await self._guarded(context, lambda: self._begin(request, context).response())

    async def ModelStreamInfer(self, request_iterator: Any, context: Context) -> None:  # noqa: ARG002, N802
        """Responses in the order of the requests, which are computed concurrently."""
        begun: asyncio.Queue[_Inference | None] = asyncio.Queue(STREAM_AHEAD)
        sending = asyncio.create_task(self._send(context, begun))
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
        inference = _Inference(self._handler, self._messages, request.id, context, self._ended)
        inference.begin(request, self.predicting > self._handler.settings.grpc_max_concurrent)
        return inference

    def _ended(self) -> None:
        self.predicting -= 1

    async def _send(self, context: Context, begun: asyncio.Queue[_Inference | None]) -> None:
        while (inference := await begun.get()) is not None:
            try:
                response = messages.ModelStreamInferResponse(infer_response=await inference.response())
            except Exception as error:
                named = messages.ModelInferResponse(id=inference.request_id)
                _, message = self._explained(error)
                response = messages.ModelStreamInferResponse(error_message=message, infer_response=named)
            await context.write(response)

    async def _guarded(self, context: Context, respond: Callable[[], Awaitable[T]]) -> T:
        """What `respond` gives; each error it raises ends the call with a code and one message."""
        try:
            return await respond()
        except Exception as error:
            code, message = self._explained(error)
        await context.abort(code, message)
        raise AssertionError("abort returned")

    def _explained(self, error: Exception) -> tuple[grpc.StatusCode, str]:
        """Code and message of an error; an unforeseen one is logged."""
        status = status_of(error)
        if status == "failed":
            logger.error("a gRPC call failed", exc_info=error)
        return grpc.StatusCode[CODES[status][1]], self._handler.message(error)


class _Inference:
    """One request for predictions: its rows are in the queue once it is begun, and its response comes with them."""

    def __init__(
        self,
        handler: RequestHandler,
        messages: InferenceMessages,
        request_id: str,
        context: Context,
        ended: Callable[[], None],
    ) -> None:
        self.request_id = request_id
        self._handler = handler
        self._messages = messages
        self._ended = ended
        self._counting = handler.request("grpc", lambda: _headers(context, request_id))
        self._error: Exception | None = None
        self._version = ""
        self._request: InferenceRequest
        self._predictions: asyncio.Future[PredictionBatch]

    def begin(self, request: Any, crowded: bool) -> None:
        """Read the request and queue its rows; what is wrong with it is raised by `response`."""
        counted = self._counting.__enter__()
        try:
            if crowded:
                limit = self._handler.settings.grpc_max_concurrent
                raise OverloadError(f"More than {limit} calls at once: try again in a second.")
            self._version = request.model_version
            check_model(request.model_name, self._version, self._handler.package.tag)
            self._request = self._messages.read(request)
            predict = self._handler.explain if self._request.explained else self._handler.predict
            self._predictions = predict(self._request.rows, counted)
        except Exception as error:
            self._end(error)
            self._error = error

    async def response(self) -> Any:
        """The ModelInferResponse. Raises what was wrong with the request, or TimeoutError."""
        if self._error is not None:
            raise self._error
        try:
            batch = await self._predictions
            tag = scored_by(batch, self._version, self._handler.package.tag)
            response = self._messages.write(tag, self._request, batch)
        except BaseException as error:
            self._end(error)
            raise
        self._end(None)
        return response

    def abandon(self) -> None:
        """Drop it: its caller no longer waits."""
        if self._error is None:
            self._predictions.cancel()
            self._end(asyncio.CancelledError())

    def _end(self, error: BaseException | None) -> None:
        self._ended()
        with suppress(BaseException):
            self._counting.__exit__(type(error) if error else None, error, None)


def _headers(context: Context, request_id: str) -> dict[str, str]:
    """The metadata of a call, with the request's own id for want of another."""
    metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    return {REQUEST_ID: request_id} | metadata
