from __future__ import annotations

import os
from pathlib import Path

import pytest

from tabular_bento.serving.limits import BASE_MIB, WORKER_MIB, cpu_quota, memory_limit, usual_workers
from tabular_bento.serving.settings import ServingSettings


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file system of the tests' own, on a machine of 16 processors."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    return tmp_path


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def v2(cpu: str = "max 100000", memory: str = "max", group: str = "/", path: str = "") -> dict[str, str]:
    folder = f"sys/fs/cgroup{path}"
    return {"proc/self/cgroup": f"0::{group}", f"{folder}/cpu.max": cpu, f"{folder}/memory.max": memory}


def v1(quota: str = "-1", memory: str = str((1 << 63) - 4096), group: str = "/", path: str = "") -> dict[str, str]:
    return {
        "proc/self/cgroup": f"12:cpuset:{group}\n9:memory:{group}\n4:cpu,cpuacct:{group}\n0::/",
        f"sys/fs/cgroup/cpu{path}/cpu.cfs_quota_us": quota,
        f"sys/fs/cgroup/cpu{path}/cpu.cfs_period_us": "100000",
        f"sys/fs/cgroup/memory{path}/memory.limit_in_bytes": memory,
    }


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": ""}, None),
        (v2(), None),
        (v2("50000 100000"), 0.5),
        (v2("400000 100000"), 4.0),
        (v2("200000 100000", group="/pod/app", path="/pod/app"), 2.0),
        (v2("200000 100000", group="/pod/app", path="/pod"), 2.0),
        (v2("200000 100000", group="/seen/from/outside"), 2.0),
        (v1(), None),
        (v1("150000"), 1.5),
        (v1("150000", group="/pod/app", path="/pod/app"), 1.5),
        (v1("150000", group="/seen/from/outside"), 1.5),
    ],
)
def test_the_quota_of_processors(root: Path, files: dict[str, str], quota: float | None) -> None:
    assert cpu_quota(write(root, files)) == quota


@pytest.mark.parametrize(
    ("files", "limit"),
    [({}, None), (v2(), None), (v2(memory=str(1 << 29)), 1 << 29), (v1(), None), (v1(memory=str(1 << 29)), 1 << 29)],
)
def test_the_limit_of_memory(root: Path, files: dict[str, str], limit: int | None) -> None:
    assert memory_limit(write(root, files)) == limit


def test_the_tightest_of_a_group_and_those_above_it_counts(root: Path) -> None:
    write(root, v2("300000 100000", str(1 << 30), "/pod/app", "/pod/app"))
    write(root, v2("200000 100000", str(1 << 31), "/pod/app", "/pod"))
    assert cpu_quota(root) == 2.0
    assert memory_limit(root) == 1 << 30


@pytest.mark.parametrize(
    ("cpu", "memory", "workers"),
    [
        ("max 100000", "max", 1),
        ("50000 100000", "max", 1),
        ("199999 100000", "max", 1),
        ("400000 100000", "max", 4),
        ("9900000 100000", "max", 16),
        ("400000 100000", str((BASE_MIB + 2 * WORKER_MIB) << 20), 2),
        ("400000 100000", str(64 << 20), 1),
        ("max 100000", str(8 << 30), 1),
    ],
)
def test_as_many_workers_as_processors_and_memory_allow(root: Path, cpu: str, memory: str, workers: int) -> None:
    assert usual_workers(write(root, v2(cpu, memory))) == workers


def test_what_an_operator_sets_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABULAR_BENTO_WORKERS", "3")
    assert ServingSettings().workers == 3
