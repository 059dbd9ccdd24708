"""Which tests the workers of a run take together, and in which order: what takes long begins first.

A file is tested by one worker, so that what its tests share is made once. The files of a folder of `TOGETHER` are too:
they share what takes minutes to make. A worker that comes to a long file last would keep the other one waiting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

TOGETHER = ("tests/integration/container/",)
"""Folders whose files share an image."""

LONG = (
    *TOGETHER,
    "tests/integration/examples/test_diabetes.py",
    "tests/integration/examples/test_new_project.py",
    "tests/integration/examples/test_penguins.py",
    "tests/integration/examples/test_disruptions.py",
    "tests/flights/test_demo.py",
    "tests/integration/monitoring/test_page.py",
    "tests/flights/test_train.py",
    "tests/integration/monitoring/test_checks.py",
    "tests/integration/test_release.py",
    "tests/integration/monitoring/test_replay.py",  # these two before the log of the worker's server is long
    "tests/integration/monitoring/test_skew.py",
    "tests/integration/monitoring/test_scan.py",
    "tests/integration/deploy/test_manifests.py",
    "tests/integration/deploy/test_alerts.py",
    "tests/integration/serving/test_shadow.py",
    "tests/integration/serving/test_reload.py",
    "tests/integration/serving/test_tls.py",
    "tests/integration/serving/test_bento.py",
    "tests/integration/serving/test_grpc_ports.py",
    "tests/integration/serving/test_grpc_limits.py",
    "tests/integration/serving/test_log.py",
    "tests/integration/serving/test_tracing.py",
    "tests/integration/serving/test_drain.py",
    "tests/integration/test_new.py",
    "tests/integration/test_guides.py",
    "tests/integration/test_release_baseline.py",
    "tests/integration/data/test_training_from_s3.py",
    "tests/integration/test_new_from_sql.py",
    "tests/integration/data/test_postgresql_guide.py",
    "tests/golden/test_monitoring.py",
    "tests/golden/test_responses.py",
    "tests/golden/test_compare.py",
    "tests/flights/test_readme.py",
    "tests/benchmarks/test_backtest.py",
    "tests/integration/monitoring/comparison/test_servers.py",
    "tests/integration/monitoring/comparison/test_study.py",
    "tests/integration/monitoring/comparison/test_job.py",
    "tests/integration/monitoring/comparison/test_pages.py",
    "tests/integration/monitoring/test_drift_command.py",
    "tests/integration/monitoring/test_any_problem.py",
    "tests/integration/monitoring/test_workers.py",
    "tests/integration/monitoring/test_workspace.py",
    "tests/integration/cli/test_reload.py",
    "tests/integration/cli/test_wrong_usage.py",
    "tests/integration/serving/test_classes.py",
    "tests/integration/serving/test_rest.py",
    "tests/unit/monitoring/test_drift_classes.py",
    "tests/unit/scaffold/test_writing.py",
)
"""Files that take more than some ten seconds of the fast tests or of the slow ones, the longest first."""

_RANKS = {name: rank for rank, name in enumerate(LONG)}


def scope_of(nodeid: str) -> str:
    """What a test is run together with: its file, or a folder of `TOGETHER`."""
    file = nodeid.split("::", 1)[0]
    return next((folder for folder in TOGETHER if file.startswith(folder)), file)


def ordered(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The tests of `LONG` first, then those of the files that have the most tests."""
    counts = Counter(scope_of(item.nodeid) for item in items)

    def key(item: pytest.Item) -> tuple[int, int, str]:
        scope = scope_of(item.nodeid)
        return _RANKS.get(scope, len(LONG)), -counts[scope], scope

    return sorted(items, key=key)


class FilesInOrder(LoadFileScheduling):
    """Hands out files, or folders of them, in the order that the tests were collected in."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)
