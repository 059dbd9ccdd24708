from __future__ import annotations

import numpy as np
import pytest

from tabular_bento.errors import TableError
from tabular_bento.features import Extractor, FeatureSet, FitData, TimeZones, feature
from tabular_bento.schema import Field, Kind

FIELDS = (Field("place", Kind.TEXT), Field("at", Kind.LOCAL_TIME, optional=True))
SUMMER = 1_372_680_000


@feature(unit="seconds")
def offset(row):  # type: ignore[no-untyped-def]
    """Offset of the clock of the place."""
    return row.clocks.offset(row.place, row.at)


def extractor(zones: list[str | None]) -> Extractor:
    tables = {"places": {"name": np.array(["A", "B", "C"], dtype=object), "zone": np.array(zones, dtype=object)}}
    features = FeatureSet((offset,), (TimeZones("places", key="name", column="zone").named("clocks"),))
    data = FitData({"place": np.array(["A"], dtype=object), "at": np.array([0.0])}, {})
    return Extractor.fit(FIELDS, features, [data], tables)


def test_a_place_without_a_zone_an_unknown_place_and_no_time_have_no_offset() -> None:
    fitted = extractor(["America/New_York", None, "Asia/Kolkata"])
    rows = [("A", SUMMER), ("B", SUMMER), ("C", SUMMER), ("D", SUMMER), ("A", float("nan")), ("A", 1e12)]

    alone = [fitted.transform([row])[0, 0] for row in rows]
    batch = fitted.transform(rows * 3)[:6, 0]

    np.testing.assert_array_equal(alone, [-4 * 3600, np.nan, 5.5 * 3600, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(batch, alone)


def test_places_that_have_no_zones_at_all_are_all_unknown() -> None:
    assert np.isnan(extractor([None, None, None]).transform([("A", SUMMER)] * 20)).all()


def test_a_zone_that_does_not_exist_is_named() -> None:
    with pytest.raises(TableError, match=r"places\.zone: 'Mars/Base' is no time zone"):
        extractor(["Mars/Base", None, None])
