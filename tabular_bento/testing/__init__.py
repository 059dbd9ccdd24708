"""Checks that every project and every runner passes, to be called in its tests, one line each.

>>> from tabular_bento import testing  # doctest: +SKIP
>>> testing.check_project(testing.ProjectUnderTest.here())  # doctest: +SKIP
>>> testing.check_runner(MyRunner)  # doctest: +SKIP

Each check raises an AssertionError that says what differs, where, and what to do.
"""

from tabular_bento.testing.checks import (
    CHECKS,
    check_feature_totality,
    check_parity,
    check_project,
    check_protocol_round_trips,
    check_row_independence,
    check_schema_examples,
    check_source,
)
from tabular_bento.testing.project import ProjectUnderTest
from tabular_bento.testing.runners import check_fitted_runner, check_runner
from tabular_bento.testing.served import check_served

__all__ = [
    "CHECKS",
    "ProjectUnderTest",
    "check_feature_totality",
    "check_fitted_runner",
    "check_parity",
    "check_project",
    "check_protocol_round_trips",
    "check_row_independence",
    "check_runner",
    "check_schema_examples",
    "check_served",
    "check_source",
]
