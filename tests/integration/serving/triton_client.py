"""What Triton's own client gets from a server: run by test_triton.py, in an environment of the client's own.

Reads {"grpc", "http", "inputs": [[name, datatype, values], ...]} from its input and writes JSON.
"""

import json
import sys

import numpy as np
import tritonclient.grpc
import tritonclient.http

TYPES = {"BYTES": object, "FP64": np.float64, "INT64": np.int64}


def ask(module, address: str, inputs: list) -> dict:
    """What one of the two clients says."""
    client = module.InferenceServerClient(address)
    tensors = []
    for name, datatype, values in inputs:
        tensor = module.InferInput(name, [len(values)], datatype)
        tensor.set_data_from_numpy(np.array(values, dtype=TYPES[datatype]))
        tensors.append(tensor)
    outputs = [module.InferRequestedOutput(name) for name in ("arrival_delay", "prediction_id")]
    result = client.infer("flights", tensors, outputs=outputs, request_id="abc")
    unasked = client.infer("flights", tensors)
    metadata = client.get_model_metadata("flights")
    if module is tritonclient.grpc:
        inputs_described = [[item.name, item.datatype, list(item.shape)] for item in metadata.inputs]
        version, identity = client.get_server_metadata().version, result.get_response().id
    else:
        inputs_described = [[item["name"], item["datatype"], item["shape"]] for item in metadata["inputs"]]
        version, identity = client.get_server_metadata()["version"], result.get_response()["id"]
    refusals = {}
    for what, call in {
        "unknown model": lambda: client.infer("ships", tensors),
        "missing input": lambda: client.infer("flights", tensors[1:]),
        "not served": lambda: client.get_model_config("flights"),
    }.items():
        try:
            call()
        except tritonclient.utils.InferenceServerException as error:
            refusals[what] = [error.status(), error.message()]
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model ready": client.is_model_ready("flights"),
        "version": version,
        "inputs": inputs_described,
        "id": identity,
        "arrival_delay": result.as_numpy("arrival_delay").tolist(),
        "unasked": unasked.as_numpy("arrival_delay").tolist(),
        "prediction_id": [value.decode() for value in result.as_numpy("prediction_id").tolist()],
        "refusals": refusals,
    }


def main() -> None:
    asked = json.load(sys.stdin)
    modules = {"grpc": tritonclient.grpc, "http": tritonclient.http}
    responses = {name: ask(module, asked[name], asked["inputs"]) for name, module in modules.items()}
    json.dump(responses, sys.stdout)


if __name__ == "__main__":
    main()
