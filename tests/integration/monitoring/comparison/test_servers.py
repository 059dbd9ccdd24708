"""Comparisons over the wire, over each protocol of running servers."""

from __future__ import annotations

import asyncio
import gc
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.problem import PROBLEM
from tabular_bento.cli import main
from tabular_bento.client import PROTOCOLS
from tabular_bento.data.dataset import Dataset
from tabular_bento.errors import CompareError, UnreachableError
from tabular_bento.features.columns import columns_of
from tabular_bento.monitoring.comparison.job import run as compare
from tabular_bento.monitoring.comparison.models import open_model
from tabular_bento.monitoring.comparison.result import CompareResult
from tabular_bento.monitoring.comparison.settings import CompareSettings
from tabular_bento.scoring.manifest import FILE as MANIFEST
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.scoring.package import PROVENANCE_FILE
from tabular_bento.serving.ports import free_port
from tests.conftest import copy_of_store
from tests.flights.rows import EXAMPLE, from_json
from tests.golden import monitored as golden
from tests.integration.monitoring.variants import Variants
from tests.lines import logged
from tests.releases import CANDIDATE, add_candidate, folder_of
from tests.serving import ServedPort, serve


@pytest.fixture
def run(dataset: Dataset) -> Any:
    """The comparison in the project."""
    return lambda *arguments: compare(*arguments, problem=PROBLEM, dataset=dataset)


def settings(server: ServedPort, protocol: str, **changed: Any) -> CompareSettings:
    address = f"127.0.0.1:{server.grpc_port}"
    return CompareSettings(
        protocol=protocol,
        baseline_grpc=address,
        candidate_grpc=address,
        sample=1_500,
        **{"max_latency_ratio": None, "min_days": 11, **changed},
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_is_its_package_to_the_bit_over_every_protocol(
    run: Any, server: ServedPort, trained: dict[str, Any], tmp_path: Path, protocol: str
) -> None:
    result = run(trained["tag"], server.process.url, "test", "equivalent", tmp_path, settings(server, protocol))
    assert result.verdict == "accepted"
    assert result.agreement is not None
    assert (result.rows.compared, result.agreement.rows_differing) == (1_500, 0)
    assert result.candidate.kind == "server"
    assert result.candidate.model is not None
    assert {cost.name for cost in result.costs} == {"one_row_microseconds", "thousand_rows_microseconds"}


def test_two_servers_by_their_urls(server: ServedPort, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = server.process.url
    arguments = ["--on", "test", "--sample", "500", "--equivalent", "--protocol", "rest-binary", "--out", str(tmp_path)]
    assert main(["compare", "--baseline", url, "--candidate", url, *arguments]) == 0
    assert "to the bit" in capsys.readouterr().out


@pytest.fixture
def better(trained: dict[str, Any], tmp_path: Path) -> Iterator[ServedPort]:
    """A server of the golden model, of six months of flights, which says that it was trained on the session's rows."""
    store = copy_of_store(trained["tag"], tmp_path / "store")
    add_candidate(store, trained["tag"], CANDIDATE)
    folder = folder_of(store, CANDIDATE)
    kept = {name: (folder / name).read_bytes() for name in (PROVENANCE_FILE, "model.yaml")}
    shutil.rmtree(folder)
    golden.write_package(folder)
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    (folder / MANIFEST).unlink()
    write_manifest(folder)
    with serve(tmp_path, BENTOML_HOME=str(store), TABULAR_BENTO_MODEL=CANDIDATE) as served:
        yield served


def test_two_servers_of_two_models_each_way_round(
    run: Any, server: ServedPort, better: ServedPort, tmp_path: Path
) -> None:
    def judged(baseline: ServedPort, candidate: ServedPort) -> CompareResult:
        ours, theirs = (f"127.0.0.1:{served.grpc_port}" for served in (baseline, candidate))
        own = CompareSettings(
            protocol="grpc",
            baseline_grpc=ours,
            candidate_grpc=theirs,
            sample=12_000,
            max_latency_ratio=None,
            min_days=11,
        )
        return run(baseline.process.url, candidate.process.url, "test", "not_worse", tmp_path / "out", own)

    result = judged(better, server)
    assert (result.verdict, result.exit_code, result.rows.compared) == ("refused", 1, 12_000)
    assert "worse" in result.reasons[0]
    assert (result.baseline.kind, result.candidate.kind, result.baseline.model) == ("server", "server", CANDIDATE)
    assert len(logged(better.traffic)) >= 12_000
    back = judged(server, better)
    assert (back.verdict, back.exit_code) == ("accepted", 0), back.reasons
    assert back.candidate.model == CANDIDATE
    assert [metric.delta for metric in back.metrics] == [-metric.delta for metric in result.metrics]


def test_a_server_of_another_model_is_distinguished(
    run: Any, server: ServedPort, variants: Variants, tmp_path: Path
) -> None:
    result = run(variants.near, server.process.url, "test", "equivalent", tmp_path, settings(server, "rest"))
    assert result.verdict == "refused"


def test_the_times_of_a_package_have_no_limit_beside_those_of_a_server(
    run: Any, server: ServedPort, trained: dict[str, Any], variants: Variants, tmp_path: Path
) -> None:
    strict = settings(server, "json", max_latency_ratio=1e-9)
    result = run(trained["tag"], server.process.url, "test", "not_worse", tmp_path, strict)
    assert (result.baseline.kind, result.candidate.kind) == ("package", "server")
    assert {metric.delta for metric in result.metrics} == {0.0}
    assert [cost.limit for cost in result.costs] == [None, None]
    assert not [reason for reason in result.reasons if "microseconds" in reason]
    alike = run(variants.own, variants.near, "test", "not_worse", tmp_path, strict)
    assert [cost.limit for cost in alike.costs] == [1e-9, 1e-9, strict.max_size_ratio]
    assert alike.verdict == "refused"


def test_two_servers_at_one_grpc_address_are_refused(run: Any, server: ServedPort, tmp_path: Path) -> None:
    other = server.process.url.replace("127.0.0.1", "localhost")
    with pytest.raises(CompareError, match="--baseline-grpc"):
        run(server.process.url, other, "test", "equivalent", tmp_path, settings(server, "grpc"))


def test_no_server_is_reported(variants: Variants, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(UnreachableError, match="No server listens"):
        open_model(url, "candidate", CompareSettings(), None)
    arguments = ["compare", "--baseline", variants.own, "--candidate", url, "--on", "test", "--equivalent"]
    assert main([*arguments, "--out", str(tmp_path)]) == 3
    assert url in capsys.readouterr().err


def test_a_server_without_its_grpc_is_reported_and_nothing_stays_open(server: ServedPort) -> None:
    def open_loops() -> int:
        loops = [one for one in gc.get_objects() if isinstance(one, asyncio.BaseEventLoop)]
        return sum(not loop.is_closed() for loop in loops)

    nobody, before = CompareSettings(protocol="grpc", candidate_grpc=f"127.0.0.1:{free_port()}"), open_loops()
    with pytest.raises(UnreachableError, match="No gRPC server listens"):
        open_model(server.process.url, "candidate", nobody, None)
    assert open_loops() == before


@pytest.mark.parametrize("url", ["http://127.0.0.1:port", "http://[::1"])
def test_what_is_no_url_is_reported(
    variants: Variants, tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    arguments = ["compare", "--baseline", variants.own, "--candidate", url, "--on", "test", "--equivalent"]
    assert main([*arguments, "--out", str(tmp_path)]) == 3
    assert f"No server listens at {url}" in capsys.readouterr().err


def test_rows_that_a_server_refuses_are_a_failure_that_names_them(server: ServedPort) -> None:
    model = open_model(server.process.url, "candidate", CompareSettings(rows_per_request=2), None)
    columns = dict(columns_of(from_json(EXAMPLE, EXAMPLE, EXAMPLE), PROBLEM.fields))
    assert model.predict(columns)[PROBLEM.target.name].shape == (3,)
    columns["carrier"] = np.array(["UA", "UA", "much too long"], dtype=object)
    try:
        with pytest.raises(CompareError, match=r"did not predict 1 rows .*400"):
            model.predict(columns)
    finally:
        model.close()
