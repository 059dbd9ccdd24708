"""The messages load in one process with those of Triton's own client, which has its own version of protobuf."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.environments import ROOT

CODE = """
import sys
import tritonclient.grpc
from tritonclient.grpc import service_pb2
sys.path[:0] = [sys.argv[1]]
sys.path.append(sys.argv[2])  # what the library needs beside the client's own packages
from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.protocol import open_inference_pb2_grpc as services
import google.protobuf
import grpc

assert google.protobuf.__version__.startswith("6."), google.protobuf.__version__
theirs = service_pb2.ModelInferRequest(model_name="rents", raw_input_contents=[b"a"])
theirs.inputs.add(name="city", datatype="BYTES", shape=[1])
ours = messages.ModelInferRequest.FromString(theirs.SerializeToString())
assert ours.inputs[0].name == "city" and ours.raw_input_contents == [b"a"]
assert service_pb2.ModelInferRequest.FromString(ours.SerializeToString()) == theirs
assert type(ours) is not type(theirs)
services.GRPCInferenceServiceStub(grpc.insecure_channel("127.0.0.1:1")).ModelInfer
tritonclient.grpc.InferenceServerClient("127.0.0.1:1").close()
print("both")
"""


@pytest.mark.slow
def test_the_messages_load_beside_those_of_tritons_client(triton: Path) -> None:
    """In either order: imported first or second, neither knows of the other."""
    packages = sysconfig.get_paths()["purelib"]
    lines = CODE.splitlines(keepends=True)
    client = [line for line in lines if "tritonclient.grpc\n" in line or "service_pb2\n" in line]
    assert len(client) == 2
    middle = next(index for index, line in enumerate(lines) if "import google" in line)
    later = [line for line in lines[:middle] if line not in client] + client + lines[middle:]
    for code in (lines, later):
        done = subprocess.run(
            [triton, "-W", "error::UserWarning", "-c", "".join(code), ROOT, packages],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "both\n"), done.stderr
