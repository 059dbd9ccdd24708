"""The client beside Triton's own client in one process, which has its own version of protobuf."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.environments import ROOT
from tests.flights.rows import EXAMPLE
from tests.serving import ServedPort

CODE = """
import json
import sys
import numpy as np
import tritonclient.grpc as triton
sys.path[:0] = [sys.argv[1]]
sys.path.append(sys.argv[2])  # what the library needs beside the client's own packages
from tabular_bento.client import PROTOCOLS, Client
import google.protobuf

assert google.protobuf.__version__.startswith("6."), google.protobuf.__version__
url, address, row = sys.argv[3], sys.argv[4], json.loads(sys.argv[5])
with Client(url, grpc=address) as client:
    ours = {client.predict([row], protocol)[0]["arrival_delay"] for protocol in PROTOCOLS}
    inputs = []
    for tensor in client.interface().tensors([row]):
        given = triton.InferInput(tensor.name, list(tensor.shape), tensor.datatype)
        types = {"BYTES": object, "FP64": np.float64, "INT64": np.int64}
        given.set_data_from_numpy(np.array(tensor.values, dtype=types[tensor.datatype]))
        inputs.append(given)
    theirs = triton.InferenceServerClient(address).infer("flights", inputs).as_numpy("arrival_delay")
assert ours == {float(theirs[0])}, (ours, theirs)
print("the same bits")
"""


@pytest.mark.slow
def test_both_clients_in_one_process_get_the_same_prediction(triton: Path, server: ServedPort) -> None:
    address = f"127.0.0.1:{server.grpc_port}"
    packages = sysconfig.get_paths()["purelib"]
    arguments = [ROOT, packages, server.process.url, address, json.dumps(EXAMPLE)]
    done = subprocess.run([triton, "-c", CODE, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "the same bits\n"), done.stderr
