from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from features.problem import PROBLEM
from tabular_bento.features import Extractor
from tabular_bento.features.columns import columns_of, rows_of
from tabular_bento.scoring.package import ModelPackage
from tests.flights.rows import EXAMPLE, from_json

FIELDS, FIELD_NAMES, FEATURE_NAMES = PROBLEM.fields, PROBLEM.field_names, PROBLEM.feature_names


@pytest.mark.parametrize("field", ["temp", "wind_dir", "wind_speed", "precip", "visib", "pressure"])
def test_a_missing_reading_is_nan_in_its_own_feature_only(package: ModelPackage, field: str) -> None:
    extractor = package.extractor
    whole, without = extractor.transform(from_json(EXAMPLE, {**EXAMPLE, field: None}))

    assert np.isnan(without[FEATURE_NAMES.index(field)])
    differing = [name for name, a, b in zip(FEATURE_NAMES, whole, without, strict=True) if a != b]
    assert differing == [field]


def test_unknown_values_give_the_unknown_code_and_nan(package: ModelPackage) -> None:
    unknown = {**EXAMPLE, "carrier": "??", "origin": "???", "dest": "???", "tailnum": "X"}
    features = dict(zip(FEATURE_NAMES, package.extractor.transform(from_json(unknown))[0], strict=True))

    assert features["carrier"] == 0
    assert features["origin"] == 0
    missing = {name for name, value in features.items() if np.isnan(value)}
    assert missing == {
        "block", "pad", "distance", "route_air_time", "congestion", "taxi", "gain_carrier_route",
        "gain_carrier_hour", "gain_dest", "plane_age", "plane_seats",
    }  # fmt: skip


def test_an_unknown_carrier_does_not_borrow_what_is_known_of_others(package: ModelPackage) -> None:
    known, unknown = package.extractor.transform(from_json(EXAMPLE, {**EXAMPLE, "carrier": "??"}))
    by_route = [FEATURE_NAMES.index(name) for name in ("distance", "route_air_time", "gain_dest", "taxi")]

    assert (known[by_route] == unknown[by_route]).all()
    assert np.isnan(unknown[FEATURE_NAMES.index("gain_carrier_route")])


@pytest.mark.parametrize(
    ("dest", "sched_dep", "sched_arr", "block"),
    [
        ("IAH", "2013-09-02T05:15", "2013-09-02T08:19", 244),
        ("PHX", "2013-01-15T08:00", "2013-01-15T11:00", 300),  # Arizona: two hours behind in winter,
        ("PHX", "2013-07-15T08:00", "2013-07-15T10:00", 300),  # three in summer
        ("HNL", "2013-07-15T10:00", "2013-07-15T15:00", 660),
        ("SJU", "2013-07-15T23:59", "2013-07-16T03:40", 221),
        ("LAX", "2013-03-09T23:30", "2013-03-10T03:30", 360),  # the night the clocks go forward, both after it
        ("LAX", "2031-07-15T08:00", "2031-07-15T11:00", 360),  # by rule, in a year no table lists
    ],
)
def test_block_times_know_the_time_zones(
    package: ModelPackage, dest: str, sched_dep: str, sched_arr: str, block: float
) -> None:
    row = from_json({**EXAMPLE, "dest": dest, "sched_dep": sched_dep, "sched_arr": sched_arr})

    assert package.extractor.transform(row)[0][FEATURE_NAMES.index("block")] == block


def test_saved_and_loaded_it_is_the_same_extractor(package: ModelPackage, tmp_path: Path) -> None:
    extractor = package.extractor
    extractor.save(tmp_path)
    loaded = Extractor.load(FIELDS, PROBLEM.features, tmp_path)
    again = tmp_path / "again"
    again.mkdir()
    loaded.save(again)

    assert loaded.state.fingerprint == extractor.state.fingerprint
    for path in tmp_path.glob("extractor.*"):
        assert path.read_bytes() == (again / path.name).read_bytes()


def test_the_fingerprint_sees_a_change_of_one_number(package: ModelPackage, tmp_path: Path) -> None:
    package.extractor.save(tmp_path)
    changed = Extractor.load(FIELDS, PROBLEM.features, tmp_path)
    table = changed.state.tables["gain_by_dest"]
    table[1] = np.nextafter(table[1], 99)

    assert changed.state.fingerprint != package.extractor.state.fingerprint


def test_rows_and_columns_are_inverse() -> None:
    batch = from_json(EXAMPLE, {name: EXAMPLE[name] for name in FIELD_NAMES if name not in ("id", "tailnum", "flight")})

    back = rows_of(columns_of(batch, FIELDS), FIELD_NAMES)
    assert back[0] == batch[0]
    assert repr(back[1]) == repr(batch[1]), "NaN is no equal of itself"
