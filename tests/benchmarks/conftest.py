"""What several studies are run on."""

from __future__ import annotations

import pytest

from features.problem import PROBLEM
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.store import store_home
from tests.golden import monitored as golden


@pytest.fixture(scope="module")
def package() -> ModelPackage:
    """The golden package, in the session's store."""
    name, version = golden.TAG.split(":")
    folder = store_home() / "models" / name / version
    if not folder.exists():
        golden.write_package(folder)
    return ModelPackage.load(folder, golden.TAG, PROBLEM)
