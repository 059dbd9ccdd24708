"""Client and server of the service of open_inference.proto, for channels and servers with or without asyncio."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf import message_factory

from tabular_bento.protocol import open_inference_pb2 as messages

SERVICE = messages.DESCRIPTOR.services_by_name["GRPCInferenceService"]


class GRPCInferenceServiceStub:
    """A client: an attribute for each call of the service.

    Parameters
    ----------
    channel : grpc.Channel or grpc.aio.Channel
        The connection.
    """

    def __init__(self, channel: Any) -> None:
        for method in SERVICE.methods:
            call = channel.stream_stream if method.client_streaming else channel.unary_unary
            setattr(
                self,
                method.name,
                call(
                    f"/{SERVICE.full_name}/{method.name}",
                    request_serializer=message_factory.GetMessageClass(method.input_type).SerializeToString,
                    response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
                    _registered_method=True,
                ),
            )

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{SERVICE.full_name} has no call {name}")


class GRPCInferenceServiceServicer:
    """Base of servers: a method for each call; a call without one is unimplemented."""


def add_GRPCInferenceServiceServicer_to_server(servicer: Any, server: Any) -> None:  # noqa: N802
    """Have a server take the service's calls.

    Parameters
    ----------
    servicer : GRPCInferenceServiceServicer
        What takes them.
    server : grpc.Server or grpc.aio.Server
        The server.
    """
    handlers = {}
    for method in SERVICE.methods:
        if hasattr(servicer, method.name):
            handler = (
                grpc.stream_stream_rpc_method_handler
                if method.client_streaming
                else grpc.unary_unary_rpc_method_handler
            )
            handlers[method.name] = handler(
                getattr(servicer, method.name),
                request_deserializer=message_factory.GetMessageClass(method.input_type).FromString,
                response_serializer=message_factory.GetMessageClass(method.output_type).SerializeToString,
            )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE.full_name, handlers),))
    server.add_registered_method_handlers(SERVICE.full_name, handlers)
