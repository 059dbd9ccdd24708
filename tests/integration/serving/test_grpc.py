from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from features.problem import PROBLEM
from tabular_bento.protocol import open_inference_pb2 as messages
from tabular_bento.protocol import open_inference_pb2_grpc as services
from tabular_bento.schema import Kind
from tabular_bento.scoring.package import ModelPackage
from tests.flights.rows import EXAMPLE, SECOND, expected
from tests.integration.serving.clients import LIMITS, channel, outputs_of, raw, refused_call, stub, typed
from tests.serving import ServedPort, count_logged

SERVICE = "inference.GRPCInferenceService"
TRITON_ONLY = ("RepositoryIndex", "ModelConfig", "ModelStatistics", "SystemSharedMemoryStatus", "TraceSetting")


@pytest.fixture(scope="module")
def calls(server: ServedPort) -> Iterator[Any]:
    """The calls of the session's server."""
    with stub(server) as opened:
        yield opened


def with_input(changed: str, make: Any = raw, **changes: Any) -> Any:
    """A good request of two rows, but for one of its inputs."""
    request = make([EXAMPLE, SECOND])
    for index, tensor in enumerate(request.inputs):
        if tensor.name == changed:
            for name, value in changes.items():
                if name == "content":
                    request.raw_input_contents[index] = value
                elif name == "shape":
                    tensor.shape[:] = value
                elif name == "contents":
                    tensor.contents.CopyFrom(value)
                else:
                    setattr(tensor, name, value)
    return request


def test_grpc_s_own_threads_give_way_to_the_event_loop(server: ServedPort) -> None:
    policies: dict[str, set[int]] = defaultdict(set)
    for process in psutil.Process(server.process.process.pid).children(recursive=True):
        for task in Path(f"/proc/{process.pid}/task").iterdir():
            name = "main" if int(task.name) == process.pid else (task / "comm").read_text().strip()
            policies[name].add(os.sched_getscheduler(int(task.name)))
    assert policies["main"] == {os.SCHED_OTHER}
    assert policies["event_engine"] == {os.SCHED_BATCH}


def test_the_server_says_that_it_is_live_and_ready_and_what_it_serves(calls: Any, package: ModelPackage) -> None:
    name, version = package.tag.split(":")

    assert calls.ServerLive(messages.ServerLiveRequest()).live
    assert calls.ServerReady(messages.ServerReadyRequest()).ready
    assert calls.ModelReady(messages.ModelReadyRequest(name=name)).ready
    assert calls.ModelReady(messages.ModelReadyRequest(name=name, version=version)).ready
    metadata = calls.ServerMetadata(messages.ServerMetadataRequest())
    assert (metadata.name, metadata.version) == (name, version)


def test_the_metadata_derive_from_the_declaration(calls: Any, package: ModelPackage) -> None:
    datatypes = {Kind.TEXT: "BYTES", Kind.LOCAL_TIME: "BYTES", Kind.NUMBER: "FP64", Kind.INTEGER: "INT64"}
    name, version = package.tag.split(":")
    metadata = calls.ModelMetadata(messages.ModelMetadataRequest(name=name))

    assert (metadata.name, list(metadata.versions)) == (name, [version])
    assert metadata.platform == package.runner.kind
    assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in metadata.inputs] == [
        (field.name, datatypes[field.kind], [-1]) for field in PROBLEM.fields
    ]
    assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in metadata.outputs] == [
        ("arrival_delay", "FP64", [-1]),
        ("prediction_id", "BYTES", [-1]),
    ]


@pytest.mark.parametrize("make", [raw, typed])
def test_raw_contents_are_returned_raw_and_typed_ones_typed(calls: Any, package: ModelPackage, make: Any) -> None:
    name, version = package.tag.split(":")
    response = calls.ModelInfer(make([EXAMPLE, SECOND], id="abc", model_version=version))

    assert (response.model_name, response.model_version, response.id) == (name, version, "abc")
    assert len(response.raw_output_contents) == (2 if make is raw else 0)
    values = outputs_of(response)
    assert values["arrival_delay"] == expected(package, EXAMPLE, SECOND)
    assert len(set(values["prediction_id"])) == 2


@pytest.mark.parametrize("make", [raw, typed])
def test_only_the_outputs_asked_for_are_returned_in_the_order_asked_for(calls: Any, make: Any) -> None:
    request = make([EXAMPLE])
    for name in ("prediction_id", "arrival_delay"):
        request.outputs.add(name=name)
    assert list(outputs_of(calls.ModelInfer(request))) == ["prediction_id", "arrival_delay"]
    del request.outputs[1]
    assert list(outputs_of(calls.ModelInfer(request))) == ["prediction_id"]


@pytest.mark.parametrize("make", [raw, typed])
def test_missing_values_are_those_of_json(calls: Any, package: ModelPackage, make: Any) -> None:
    optional = [field.name for field in PROBLEM.fields if field.optional]
    without = {**SECOND, **dict.fromkeys(optional)}
    bare = {name: value for name, value in EXAMPLE.items() if name not in optional}

    assert outputs_of(calls.ModelInfer(make([EXAMPLE, without])))["arrival_delay"] == expected(
        package, EXAMPLE, without
    )
    assert outputs_of(calls.ModelInfer(make([bare])))["arrival_delay"] == expected(package, bare)


@pytest.mark.parametrize("make", [raw, typed])
def test_a_request_without_rows_has_a_result_without_rows(calls: Any, make: Any) -> None:
    request = make([EXAMPLE])
    for index, tensor in enumerate(request.inputs):
        tensor.shape[:] = [0]
        if make is raw:
            request.raw_input_contents[index] = b""
        else:
            tensor.ClearField("contents")

    assert outputs_of(calls.ModelInfer(request)) == {"arrival_delay": [], "prediction_id": []}


@pytest.mark.parametrize(
    ("name", "version"), [("ships", ""), ("flights", "2"), ("", ""), ("x" * 100_000, ""), ("flights", "é" * 100_000)]
)
def test_another_model_or_version_is_not_found_and_the_one_served_is_named(
    calls: Any, package: ModelPackage, name: str, version: str
) -> None:
    infer = raw([EXAMPLE], model_version=version)
    infer.model_name = name
    for call, request in (
        (calls.ModelReady, messages.ModelReadyRequest(name=name, version=version)),
        (calls.ModelMetadata, messages.ModelMetadataRequest(name=name, version=version)),
        (calls.ModelInfer, infer),
    ):
        message = refused_call(call, request, grpc.StatusCode.NOT_FOUND)
        assert message.startswith(f"The model {name[:50]}")
        assert message.endswith(f"is not served here; flights, {package.tag.split(':')[1]}, is.")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "speed"}, "Input 'speed' is unknown; the inputs are carrier, "),
        ({"name": "x" * 100_000}, "Input 'xxxxx"),
        ({"name": "é\0" * 50_000}, "Input 'é"),
        ({"name": "dest"}, "Input 'dest' is given twice."),
        ({"datatype": "BOOL"}, "Input 'temp' has datatype 'BOOL'; "),
        ({"datatype": ""}, "Input 'temp' has datatype ''; "),
        (
            {"datatype": "BYTES", "content": b"\1\0\0\0a\1\0\0\0b"},
            "Input 'temp' has datatype 'BYTES'; it must be FP64 ",
        ),
        ({"shape": [2, 2]}, "Input 'temp' has shape [2, 2]; it must be [n] or [n, 1]."),
        ({"shape": [-1]}, "Input 'temp' has shape [-1]; it must be [n] or [n, 1]."),
        ({"shape": [1]}, "Input 'temp' has 2 elements where its shape says 1."),
        ({"content": bytes(8)}, "Input 'temp' has 1 elements where its shape says 2."),
        ({"content": bytes(15)}, "Input 'temp' has 15 bytes, which is no whole number of FP64."),
        ({"shape": [1], "content": bytes(8)}, "Input 'temp' has 1 rows where 'carrier' has 2."),
        ({"content": b"\xff" * 7 + b"\x7f" + bytes(8)}, ""),
        ({"content": bytes(14) + b"\xf0\x7f"}, "flights.1.temp: Input should be a finite number"),
        ({"contents": messages.InferTensorContents(fp64_contents=[1, 2])}, "Input 'temp' has contents beside raw_"),
    ],
)
def test_a_wrong_input_is_an_invalid_argument_with_a_message_that_names_it(
    calls: Any, changes: dict[str, Any], message: str
) -> None:
    request = with_input("temp", **changes)
    if not message:
        assert len(outputs_of(calls.ModelInfer(request))["arrival_delay"]) == 2
        return
    said = refused_call(calls.ModelInfer, request, grpc.StatusCode.INVALID_ARGUMENT)
    assert said.startswith(message)
    assert len(said) < 500


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"datatype": "BOOL"}, "Input 'temp' has datatype 'BOOL'; FP64, FP32, INT64, INT32, BYTES are read."),
        ({"datatype": "INT64"}, "Input 'temp' has 0 elements where its shape says 2."),
        ({"datatype": "BYTES"}, "Input 'temp' has datatype 'BYTES'; it must be FP64 or FP32 or INT64 or INT32."),
        ({"shape": [3]}, "Input 'temp' has 2 elements where its shape says 3."),
        ({"contents": messages.InferTensorContents()}, "Input 'temp' has 0 elements where its shape says 2."),
        ({"contents": messages.InferTensorContents(fp64_contents=[1, 1e9])}, "flights.1.temp: Input should be less"),
    ],
)
def test_wrong_typed_contents_are_an_invalid_argument_and_named(
    calls: Any, changes: dict[str, Any], message: str
) -> None:
    request = with_input("temp", typed, **changes)

    assert refused_call(calls.ModelInfer, request, grpc.StatusCode.INVALID_ARGUMENT).startswith(message)


def test_raw_contents_must_be_as_many_as_the_inputs(calls: Any) -> None:
    request = raw([EXAMPLE])
    inputs = len(request.inputs)
    request.raw_input_contents.append(b"")

    message = refused_call(calls.ModelInfer, request, grpc.StatusCode.INVALID_ARGUMENT)
    assert message == f"{inputs + 1} raw_input_contents came with {inputs} inputs."


@pytest.mark.parametrize("make", [raw, typed])
def test_a_required_input_that_is_left_out_is_an_invalid_argument_and_named(calls: Any, make: Any) -> None:
    bare = {name: value for name, value in EXAMPLE.items() if name != "dep_delay"}

    message = refused_call(calls.ModelInfer, make([bare]), grpc.StatusCode.INVALID_ARGUMENT)
    assert message == "Input 'dep_delay' is missing, and is not optional."


def test_an_unknown_output_is_an_invalid_argument_and_nothing_is_predicted(calls: Any, server: ServedPort) -> None:
    before = count_logged(server.traffic)
    request = raw([EXAMPLE])
    request.outputs.add(name="speed")

    message = refused_call(calls.ModelInfer, request, grpc.StatusCode.INVALID_ARGUMENT)
    assert message == "Output 'speed' is unknown; the outputs are arrival_delay, prediction_id."
    assert count_logged(server.traffic) == before


@pytest.mark.parametrize("make", [raw, typed])
def test_more_rows_than_the_limit_are_invalid_and_not_to_be_sent_again(calls: Any, make: Any) -> None:
    request = make([EXAMPLE] * (LIMITS.max_rows + 1))

    message = refused_call(calls.ModelInfer, request, grpc.StatusCode.INVALID_ARGUMENT)
    assert message == f"{LIMITS.max_rows + 1} rows in one request, of at most {LIMITS.max_rows}: send it in parts."


def test_what_only_triton_serves_is_unimplemented_and_leaves_no_traceback(server: ServedPort) -> None:
    before = server.process.log.stat().st_size
    with channel(server) as opened:
        for name in TRITON_ONLY:
            refused_call(opened.unary_unary(f"/{SERVICE}/{name}"), b"", grpc.StatusCode.UNIMPLEMENTED)

    assert server.process.log.read_bytes()[before:] == b""


def test_a_message_that_is_none_is_refused_and_leaves_no_prediction(server: ServedPort) -> None:
    with channel(server) as opened, pytest.raises(grpc.RpcError) as error:
        opened.unary_unary(f"/{SERVICE}/ModelInfer")(b"\xff\xff\xff", timeout=30)

    assert error.value.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.INVALID_ARGUMENT)


def test_reflection_lists_the_services_and_describes_them(server: ServedPort) -> None:
    with channel(server) as opened:
        asked = reflection_pb2_grpc.ServerReflectionStub(opened).ServerReflectionInfo(
            iter(
                [
                    reflection_pb2.ServerReflectionRequest(list_services=""),
                    reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
                ]
            )
        )
        listed, described = asked

    assert {service.name for service in listed.list_services_response.service} == {
        SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection",
    }  # fmt: skip
    assert b"ModelInfer" in described.file_descriptor_response.file_descriptor_proto[0]


@pytest.mark.parametrize("name", ["", SERVICE])
def test_health_is_serving_for_the_server_and_for_its_service(server: ServedPort, name: str) -> None:
    with channel(server) as opened:
        response = health_pb2_grpc.HealthStub(opened).Check(health_pb2.HealthCheckRequest(service=name))

    assert response.status == health_pb2.HealthCheckResponse.SERVING


def test_the_health_of_a_service_that_is_not_there_is_not_found(server: ServedPort) -> None:
    with channel(server) as opened:
        refused_call(
            health_pb2_grpc.HealthStub(opened).Check,
            health_pb2.HealthCheckRequest(service="ships"),
            grpc.StatusCode.NOT_FOUND,
        )


def test_a_generated_client_of_asyncio_makes_many_calls_at_once(server: ServedPort, package: ModelPackage) -> None:
    import asyncio

    async def ask() -> list[list[float]]:
        async with grpc.aio.insecure_channel(f"localhost:{server.grpc_port}") as opened:
            calls = services.GRPCInferenceServiceStub(opened)  # type: ignore[no-untyped-call]
            responses = await asyncio.gather(*(calls.ModelInfer(raw([EXAMPLE, SECOND])) for _ in range(64)))
        return [outputs_of(response)["arrival_delay"] for response in responses]

    with ThreadPoolExecutor(1) as thread:
        responses = thread.submit(asyncio.run, ask()).result()
    assert responses == [expected(package, EXAMPLE, SECOND)] * 64
