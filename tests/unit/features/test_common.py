"""Ready-made features: equal to Python's own calendar, alone and in batches, with gaps."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tabular_bento import Field, Kind
from tabular_bento.features import Extractor, FeatureSet, FitData, calendar, elapsed, target_means
from tabular_bento.features.common import CALENDAR_PARTS

NAN = float("nan")


def matrix(fields: tuple[Field, ...], features: FeatureSet, columns: dict[str, Any], **fit: Any) -> NDArray[Any]:
    """The features of all rows, computed as a batch and alone, which must be the same bits."""
    held = {item.name: np.array(columns[item.name], dtype=item.dtype) for item in fields}
    extractor = Extractor.fit(fields, features, [FitData(held, fit)])
    together = extractor.transform_columns(held)
    rows = list(zip(*(values.tolist() for values in held.values()), strict=True))
    alone = np.concatenate([extractor.transform([row]) for row in rows])
    assert (alone.view(np.uint32) == together.view(np.uint32)).all()
    return together


def test_calendar_parts_are_those_of_pythons_datetime() -> None:
    fields = (Field("when", Kind.LOCAL_TIME), Field("day", Kind.DATE), Field("at", Kind.INSTANT))
    moments = [datetime(1899, 12, 31) + timedelta(hours=7919 * step) for step in range(250)]
    moments += [datetime(2000, 2, 29), datetime(2100, 2, 28, 23), datetime(2100, 3, 1), datetime(1970, 1, 1)]
    seconds = [int((moment - datetime(1970, 1, 1)).total_seconds()) for moment in moments]
    columns = {
        "when": seconds,
        "day": [second // 86_400 for second in seconds],
        "at": [second * 1_000_000 + 999_999 for second in seconds],
    }
    features = (
        calendar(fields, "when", CALENDAR_PARTS)
        + calendar(fields, "at", CALENDAR_PARTS)
        + calendar(fields, "day", CALENDAR_PARTS[1:])
    )
    found = matrix(fields, features, columns)
    wanted = [[moment.hour, moment.weekday(), moment.day, moment.month] for moment in moments]
    assert found[:, :4].tolist() == wanted
    assert found[:, 4:8].tolist() == wanted
    assert found[:, 8:].tolist() == [row[1:] for row in wanted]


def test_by_default_there_are_the_hour_and_the_day_of_the_week() -> None:
    fields = (Field("when", Kind.INSTANT), Field("day", Kind.DATE))
    assert calendar(fields, "when").names == ("when_hour", "when_day_of_week")
    assert calendar(fields, "day").names == ("day_day_of_week",)


def test_a_gap_has_no_calendar() -> None:
    fields = (Field("when", Kind.LOCAL_TIME, optional=True), Field("on", Kind.DATE, optional=True))
    columns = {"when": [NAN, 3600.0], "on": [NAN, 31.0]}
    features = calendar(fields, "when", CALENDAR_PARTS) + calendar(fields, "on", ("month",))
    found = matrix(fields, features, columns)
    assert np.isnan(found[0]).all()
    assert found[1].tolist() == [1, 3, 1, 1, 2]


@pytest.mark.parametrize(("name", "part"), [("day", "hour"), ("day", "second"), ("when", "year")])
def test_a_part_that_there_is_not_is_refused(name: str, part: str) -> None:
    fields = (Field("when", Kind.LOCAL_TIME), Field("day", Kind.DATE))
    with pytest.raises(ValueError, match=f"{name} has no part '{part}'"):
        calendar(fields, name, (part,))


def test_a_calendar_of_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="age is of kind number, which is no time"):
        calendar((Field("age", Kind.NUMBER),), "age")


def test_the_time_between_two_times_is_in_days() -> None:
    fields = (Field("signed_up", Kind.DATE, optional=True), Field("ordered", Kind.INSTANT))
    ordered = datetime(2024, 3, 1, 12, tzinfo=UTC)
    columns = {
        "signed_up": [(date(2024, 2, 28) - date(1970, 1, 1)).days, NAN],
        "ordered": [int(ordered.timestamp() * 1e6)] * 2,
    }
    found = matrix(fields, elapsed(fields, "signed_up", "ordered"), columns)
    assert found[0, 0] == 2.5
    assert np.isnan(found[1, 0])


def test_a_target_mean_is_mixed_with_the_mean_of_all_rows() -> None:
    fields = (Field("city", Kind.TEXT, optional=True), Field("zone", Kind.INTEGER))
    columns = {"city": ["a", "a", "b", None], "zone": [7, 8, 7, 8]}
    y = np.array([1.0, 3.0, 5.0, 7.0])
    found = matrix(fields, target_means(("city", "zone"), smooth=2), columns, residual=y)
    overall = y.mean()
    assert found[:2, 0] == pytest.approx((4 + 2 * overall) / 4)
    assert found[2, 0] == pytest.approx((5 + 2 * overall) / 3)
    assert np.isnan(found[3, 0])
    assert found[:, 1] == pytest.approx([(6 + 2 * 4) / 4, (10 + 2 * 4) / 4] * 2)


def test_of_several_classes_there_is_the_share_of_each() -> None:
    fields = (Field("city", Kind.TEXT),)
    codes = np.array([0.0, 2.0, 1.0, 1.0, NAN])
    features = target_means(("city",), smooth=0, classes=2)
    found = matrix(fields, features, {"city": ["a", "a", "b", "b", "b"]}, residual=codes)
    assert features.names == ("city_share_0", "city_share_1")
    assert found.tolist() == [[0.5, 0], [0.5, 0], [0, 1], [0, 1], [0, 1]]


def test_a_field_may_have_the_name_that_a_code_of_another_would_have() -> None:
    fields = (Field("state", Kind.TEXT), Field("state_code", Kind.TEXT))
    features = FeatureSet.of_fields(fields) + target_means(("state", "state_code"))
    assert features.faults(["state", "state_code"]) == []
