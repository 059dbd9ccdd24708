"""The messages and the service of the Open Inference Protocol, as they are compiled and as the protocol has them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool

from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.protocol import open_inference_pb2_grpc as services

ROOT = Path(__file__).resolve().parents[3]
PROTO = Path("tabular_bento/protocol/open_inference.proto")
GENERATED = ("open_inference.binpb", "open_inference_pb2.pyi")


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What grpcio-tools makes of the .proto now."""
    pytest.importorskip("grpc_tools")
    folder = tmp_path_factory.mktemp("generated")
    made = folder / PROTO.parent / GENERATED[0]
    made.parent.mkdir(parents=True)
    options = [f"--pyi_out={folder}", f"--descriptor_set_out={made}"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I.", *options, str(PROTO)], cwd=ROOT, check=True)
    return made.parent


@pytest.mark.parametrize("name", GENERATED)
def test_the_committed_code_is_what_the_proto_generates(generated: Path, name: str) -> None:
    committed = (ROOT / PROTO.parent / name).read_bytes()

    assert committed == (generated / name).read_bytes(), "open_inference.proto has changed: run `make proto`"


def test_names_and_numbers_are_those_of_the_open_inference_protocol() -> None:
    service = messages.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    assert service.full_name == "inference.GRPCInferenceService"
    assert [method.name for method in service.methods] == [
        "ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer", "ModelStreamInfer",
    ]  # fmt: skip
    assert _numbers("ModelInferRequest") == {
        "model_name": 1, "model_version": 2, "id": 3, "parameters": 4, "inputs": 5, "outputs": 6,
        "raw_input_contents": 7,
    }  # fmt: skip
    assert _numbers("ModelInferResponse") == {
        "model_name": 1, "model_version": 2, "id": 3, "parameters": 4, "outputs": 5, "raw_output_contents": 6,
    }  # fmt: skip
    assert _numbers("InferTensorContents") == {
        "bool_contents": 1, "int_contents": 2, "int64_contents": 3, "uint_contents": 4, "uint64_contents": 5,
        "fp32_contents": 6, "fp64_contents": 7, "bytes_contents": 8,
    }  # fmt: skip
    assert _numbers("ModelStreamInferResponse") == {"error_message": 1, "infer_response": 2}
    assert _numbers("InferParameter")["string_param"] == 3
    assert _numbers("ModelMetadataResponse") == {"name": 1, "versions": 2, "platform": 3, "inputs": 4, "outputs": 5}


def _numbers(message: str) -> dict[str, int]:
    return {field.name: field.number for field in messages.DESCRIPTOR.message_types_by_name[message].fields}


def test_the_messages_are_in_a_pool_of_their_own() -> None:
    """So that they load beside other stubs of the protocol; see also tests/integration for Triton's own client."""
    default = descriptor_pool.Default()  # type: ignore[no-untyped-call]
    assert messages.DESCRIPTOR.pool is not default
    with pytest.raises(KeyError):
        default.FindMessageTypeByName("inference.ModelInferRequest")


class _Servicer(services.GRPCInferenceServiceServicer):
    def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return messages.ServerLiveResponse(live=True)

    def ModelStreamInfer(self, requests: Any, context: Any) -> Iterator[Any]:  # noqa: ARG002, N802
        for request in requests:
            yield messages.ModelStreamInferResponse(infer_response=messages.ModelInferResponse(id=request.id))


def test_a_client_and_a_server_of_the_service_understand_each_other() -> None:
    server = grpc.server(ThreadPoolExecutor(2))
    services.add_GRPCInferenceServiceServicer_to_server(_Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = services.GRPCInferenceServiceStub(channel)
            assert stub.ServerLive(messages.ServerLiveRequest()).live
            asked = [messages.ModelInferRequest(id=name) for name in "ab"]
            assert [reply.infer_response.id for reply in stub.ModelStreamInfer(iter(asked))] == ["a", "b"]
            with pytest.raises(grpc.RpcError) as error:
                stub.ServerReady(messages.ServerReadyRequest())
            assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
            with pytest.raises(AttributeError, match="no call ModelConfig"):
                _ = stub.ModelConfig
    finally:
        server.stop(None)
