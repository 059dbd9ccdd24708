"""What the control group of this process allows: processors and memory, as a container engine limits them."""

from __future__ import annotations

import os
from pathlib import Path

WORKER_MIB = 180
"""What one worker takes for itself under load; docs/operate.md has the numbers."""

BASE_MIB = 160
"""What the process over the workers takes, with something to spare."""

_UNLIMITED = 1 << 60
"""Version 1 gives no limit as a number near the largest there is."""


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Processors that may be used on average, as 0.5 or 2; None without a limit. `root` is where /proc and /sys are."""
    v2 = [_quota(*(path.read_text().split())) for path in _files(root, "", "cpu.max")]
    v1 = [
        _quota(path.read_text(), path.with_name("cpu.cfs_period_us").read_text())
        for path in _files(root, "cpu", "cpu.cfs_quota_us")
    ]
    return min((quota for quota in [*v2, *v1] if quota is not None), default=None)


def memory_limit(root: Path = Path("/")) -> int | None:
    """Bytes that may be used; None without a limit."""
    texts = [path.read_text() for path in _files(root, "", "memory.max")]
    texts += [path.read_text() for path in _files(root, "memory", "memory.limit_in_bytes")]
    limits = [int(text) for text in texts if text.strip() != "max"]
    return min((limit for limit in limits if limit < _UNLIMITED), default=None)


def usual_workers(root: Path = Path("/")) -> int:
    """Workers that the limits have room for: one per whole processor of the quota; 1 without a quota.

    Half a processor has one worker, as a second would only wait. Memory may allow fewer.
    """
    quota = cpu_quota(root)
    if quota is None:
        return 1
    workers = min(int(quota), len(os.sched_getaffinity(0)))
    memory = memory_limit(root)
    if memory is not None:
        workers = min(workers, ((memory >> 20) - BASE_MIB) // WORKER_MIB)
    return max(1, workers)


def _quota(quota: str, period: str) -> float | None:
    return None if quota.strip() in ("max", "-1") else int(quota) / int(period)


def _files(root: Path, controller: str, name: str) -> list[Path]:
    """The files `name` of the group of this process and of those above it: version 2 for the controller ""."""
    mount = root / "sys/fs/cgroup" / controller
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    groups = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    own = next((path for _, controllers, path in groups if controller in controllers.split(",")), "/")
    folder = mount / own.lstrip("/")
    found = [level / name for level in (folder, *folder.parents) if level.is_relative_to(mount)]
    return [path for path in dict.fromkeys([*found, mount / name]) if path.is_file()]
