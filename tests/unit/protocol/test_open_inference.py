from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tabular_bento.protocol import open_inference_pb2 as messages
from tests.conftest import ROOT

PROTO = Path("scoring/doors/open_inference.proto")
GENERATED = ("open_inference_pb2.py", "open_inference_pb2.pyi", "open_inference_pb2_grpc.py")


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What grpcio-tools makes of the .proto now."""
    folder = tmp_path_factory.mktemp("generated")
    options = [f"--{kind}_out={folder}" for kind in ("python", "grpc_python", "pyi")]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I.", *options, str(PROTO)], cwd=ROOT, check=True)
    return folder / PROTO.parent


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
