from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from tabular_bento import Declaration, Field, Kind, Multiclass, Problem, Regression
from tabular_bento.errors import ProblemError
from tabular_bento.features import FeatureSet, GroupMean, Vocabulary, derived, target_means
from tests.unit.problems import FIELDS, PRICES

TARGET = Field("price", Kind.NUMBER)


def problem(**changes: Any) -> Problem:
    values = {"name": "prices", "fields": FIELDS, "task": Regression(TARGET)}
    return Problem(**{**values, **changes})


def test_a_declaration_survives_json_and_names_what_a_problem_names() -> None:
    declaration = PRICES.declaration

    assert Declaration.from_dict(declaration.to_dict()) == declaration
    assert Declaration.from_dict(declaration.to_dict()).fingerprint == declaration.fingerprint
    assert declaration.feature_names == PRICES.feature_names
    assert declaration.outputs == PRICES.outputs
    assert declaration.offset == "guess"
    assert declaration.field("area").unit == "m2"


def test_bounds_of_zero_and_every_setting_of_a_field_are_kept() -> None:
    field = Field("n", Kind.NUMBER, "N", unit="u", minimum=0, maximum=0.0, optional=True)
    assert Field.from_dict(field.to_dict()) == field
    text = Field("t", Kind.TEXT, min_length=0, max_length=3)
    assert Field.from_dict(text.to_dict()) == text


def test_a_problem_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        PRICES.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        PRICES.example["area"] = 1  # type: ignore[index]


def test_everything_that_is_wrong_is_listed_at_once() -> None:
    shared = FeatureSet((), (Vocabulary("town").named("area"), GroupMean(of="target", by=("town",)).named("mean")))
    with pytest.raises(ProblemError) as raised:
        problem(
            name="Prices!",
            fields=(*FIELDS, Field("area", Kind.NUMBER), Field("model", Kind.TEXT, minimum=1)),
            task=Regression(Field("floor", Kind.TEXT), offset="nothing"),
            features=shared,
            baseline="nothing",
            identifier="area",
            event_time="built",
            segments=("nowhere",),
            example={"area": 3, "other": 1},
        )

    message = str(raised.value)
    for fault in (
        "name 'Prices!'",
        "field 'area': declared 2 times",
        "field 'model': `minimum` and `maximum` bound numbers",
        "field 'model': the name is reserved",
        "target 'floor': a field of the request has that name",
        "target 'floor': a regression predicts numbers",
        "offset 'nothing': there is no such field",
        "shared value 'area': a field of the request has that name",
        "look-up 'mean': there is no 'town'",
        "baseline 'nothing'",
        "identifier 'area'",
        "event_time 'built'",
        "segment 'nowhere'",
        "example: there is no field 'other'",
        "example: the required field 'guess' is missing",
    ):
        assert f"- {fault}" in message


def test_a_baseline_of_classes_is_a_feature_for_each_of_them() -> None:
    grade = Multiclass(Field("grade", Kind.TEXT), classes=("a", "b", "c"))
    shares = target_means(("city",), classes=3)
    names = ("city_share_0", "city_share_1", "city_share_2")
    made = problem(task=grade, features=shares, baseline=list(names))
    assert made.declaration.baseline_features == names
    assert Declaration.from_dict(made.declaration.to_dict()) == made.declaration
    with pytest.raises(ProblemError, match="3 features are, one for the share of each class in order, a baseline"):
        problem(task=grade, features=shares, baseline=names[:2])
    with pytest.raises(ProblemError, match="one feature is a baseline of this task"):
        problem(features=target_means(("city", "floor")), baseline=("city_target_mean", "floor_target_mean"))


def test_a_look_up_must_be_by_a_code() -> None:
    @derived
    def hour(row: Any) -> Any:
        return row.opened // 3600

    shared = FeatureSet((), (hour, GroupMean(of="target", by=(hour,)).named("mean")))
    with pytest.raises(ProblemError, match="'hour' is no code"):
        problem(features=shared)


def test_an_example_is_made_of_the_bounds_where_none_is_given() -> None:
    example = dict(problem().example)

    assert set(example) == {field.name for field in FIELDS}
    assert 0 <= example["area"] <= 10_000
    assert isinstance(example["floor"], int)


def test_the_fingerprint_of_feature_code_is_that_of_the_files() -> None:
    assert PRICES.code_fingerprint == problem(features=PRICES.features).code_fingerprint
    assert PRICES.code_fingerprint != problem().code_fingerprint
