from __future__ import annotations

import warnings

import pytest

from tabular_bento import Binary, Field, Kind, Multiclass, Regression
from tabular_bento.pages.evidently import datasets, preset_of
from tabular_bento.tasks import Task

NUMBER = Regression(Field("rent", Kind.NUMBER))
TWO = Binary(Field("churn", Kind.TEXT), classes=("no", "yes"))
THREE = Multiclass(Field("species", Kind.TEXT), classes=("a", "b", "c"))


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """Evidently's import warns of what it deprecates itself."""
    with warnings.catch_warnings(action="ignore"):
        import evidently.presets  # noqa: F401


@pytest.mark.parametrize(
    ("task", "probabilities", "preset", "shown"),
    [
        (NUMBER, (), "RegressionPreset", None),
        (TWO, (), "ClassificationPreset", None),
        (TWO, ("no", "yes"), "ClassificationPreset", "yes"),
        (THREE, (), "ClassificationPreset", None),
        (THREE, ("a", "b", "c"), "ClassificationPreset", ["a", "b", "c"]),
    ],
)
def test_a_task_has_the_preset_of_its_kind_and_shows_the_probabilities_it_is_given(
    task: Task, probabilities: tuple[str, ...], preset: str, shown: object
) -> None:
    found = preset_of(task, probabilities)

    assert found is not None
    measured, made = found
    assert type(made).__name__ == preset
    [definition] = next(iter(measured.values()))
    assert (definition.target, getattr(definition, "prediction_probas", None)) == ("label", shown)


def test_the_positive_class_is_the_last_one() -> None:
    found = preset_of(TWO)

    assert found is not None
    assert found[0]["classification"][0].pos_label == "yes"


def test_a_task_of_another_kind_has_no_preset() -> None:
    class Ranking(Regression):
        evaluator = "ranking"

    assert preset_of(Ranking(Field("rank", Kind.NUMBER))) is None


def test_columns_are_numbers_or_categories_by_what_they_hold() -> None:
    import pandas as pd

    frames = [pd.DataFrame({"rooms": [1.0, 2.0], "label": ["a", "b"]}), pd.DataFrame({"rooms": [3.0], "label": ["b"]})]
    definition = datasets(frames, {})[0].data_definition

    assert (definition.numerical_columns, definition.categorical_columns) == (["rooms"], ["label"])
