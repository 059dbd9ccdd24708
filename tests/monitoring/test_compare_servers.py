"""Comparisons over the wire, through each door of running servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from features.columns import columns_of
from features.definition import EXAMPLE
from monitoring.__main__ import main
from monitoring.compare.job import run
from monitoring.compare.settings import CompareSettings
from monitoring.compare.sides import open_side
from monitoring.errors import CompareError, UnreachableError
from scoring.ports import free_port
from tests.monitoring.variants import Variants
from tests.rows import from_json
from tests.serving import ServedPort


def settings(server: ServedPort, door: str, **changed: Any) -> CompareSettings:
    address = f"127.0.0.1:{server.grpc_port}"
    return CompareSettings(
        door=door,
        baseline_grpc=address,
        candidate_grpc=address,
        sample=1_500,
        max_latency_ratio=None,
        **changed,
    )


@pytest.mark.parametrize("door", ["http", "rest", "grpc"])
def test_a_server_is_its_package_to_the_bit_through_every_door(
    server: ServedPort, variants: Variants, tmp_path: Path, door: str
) -> None:
    result = run(variants.own, server.process.url, "test", "equivalent", tmp_path, settings(server, door))
    assert result.verdict == "accepted"
    assert result.agreement is not None
    assert (result.rows.compared, result.agreement.rows_differing) == (1_500, 0)
    assert result.candidate.kind == "server"
    assert result.candidate.model is not None
    assert {cost.name for cost in result.costs} == {"one_row_microseconds", "thousand_rows_microseconds"}


def test_two_servers_by_their_urls(server: ServedPort, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = server.process.url
    arguments = ["--on", "test", "--sample", "500", "--equivalent", "--door", "rest", "--out", str(tmp_path)]
    assert main(["compare", "--baseline", url, "--candidate", url, *arguments]) == 0
    assert "to the bit" in capsys.readouterr().out


def test_a_server_of_another_model_is_told_apart(server: ServedPort, variants: Variants, tmp_path: Path) -> None:
    result = run(variants.seed, server.process.url, "test", "equivalent", tmp_path, settings(server, "rest"))
    assert result.verdict == "refused"


def test_two_servers_at_one_grpc_address_are_refused(server: ServedPort, tmp_path: Path) -> None:
    other = server.process.url.replace("127.0.0.1", "localhost")
    with pytest.raises(CompareError, match="--baseline-grpc"):
        run(server.process.url, other, "test", "equivalent", tmp_path, settings(server, "grpc"))


def test_no_server_is_told(variants: Variants, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(UnreachableError, match="does not answer"):
        open_side(url, "candidate", CompareSettings())
    arguments = ["compare", "--baseline", variants.own, "--candidate", url, "--on", "test", "--equivalent"]
    assert main([*arguments, "--out", str(tmp_path)]) == 3
    assert url in capsys.readouterr().err


def test_rows_that_a_server_refuses_are_a_failure_that_names_them(server: ServedPort) -> None:
    side = open_side(server.process.url, "candidate", CompareSettings(rows_per_request=2))
    columns = dict(columns_of(from_json(EXAMPLE, EXAMPLE, EXAMPLE)))
    assert side.predict(columns).shape == (3,)
    columns["carrier"] = ["UA", "UA", "much too long"]
    try:
        with pytest.raises(CompareError, match=r"did not answer 1 rows .*400"):
            side.predict(columns)
    finally:
        side.close()
