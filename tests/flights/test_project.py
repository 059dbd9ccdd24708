"""The flights hold what every project does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tabular_bento import testing
from tests.models import ROOT


@pytest.fixture(scope="module")
def project() -> testing.ProjectUnderTest:
    return testing.ProjectUnderTest.here(ROOT)


@pytest.mark.parametrize("check", testing.CHECKS, ids=lambda check: check.__name__)
def test_every_check_of_a_project_passes(
    check: Callable[[testing.ProjectUnderTest], None], project: testing.ProjectUnderTest
) -> None:
    check(project)
