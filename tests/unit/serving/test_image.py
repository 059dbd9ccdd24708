from __future__ import annotations

import pytest

from tabular_bento.errors import PackageError
from tabular_bento.scoring.runners import BUILT_IN
from tabular_bento.serving.image import LOCKS, lock_of


@pytest.mark.parametrize("kind", BUILT_IN)
def test_every_built_in_runner_has_hashed_requirements(kind: str) -> None:
    assert "--hash=sha256:" in lock_of(kind)


def test_networks_and_linear_models_need_nothing_beside_numpy() -> None:
    assert lock_of("linear") == lock_of("keras") == (LOCKS / "numpy.txt").read_text()


def test_a_runner_of_another_distribution_has_none() -> None:
    with pytest.raises(PackageError, match=r"no lock for the runner 'neighbours': name hashed requirements"):
        lock_of("neighbours")
