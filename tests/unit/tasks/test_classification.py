from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tabular_bento import Binary, Field, Kind, Multiclass
from tabular_bento.tasks import Calibration, Task, task_from_dict
from tabular_bento.tasks.classification import MOST_CLASSES

TEXT = Field("churn", Kind.TEXT, "Whether the customer leaves")
CHURN = Binary(TEXT, classes=("no", "yes"))
LATE = Binary(Field("late", Kind.BOOLEAN))
GRADE = Multiclass(Field("grade", Kind.INTEGER), classes=(3, 1, 2))


def test_outputs_are_the_label_and_the_probability_of_each_class() -> None:
    label, probability = CHURN.outputs
    assert (label.name, label.kind, label.columns) == ("churn", Kind.TEXT, ("churn",))
    assert (probability.name, probability.tensor_name) == ("probability", "churn_probability")
    assert probability.columns == ("probability.no", "probability.yes")
    assert LATE.class_names == ("false", "true")
    assert GRADE.class_names == ("3", "1", "2")


@pytest.mark.parametrize(
    ("task", "labels", "codes"),
    [
        (CHURN, np.array(["yes", None, "no"], dtype=object), [1, None, 0]),
        (LATE, np.array([1, 0]), [1, 0]),
        (LATE, np.array([1.0, np.nan]), [1, None]),
        (LATE, np.array([True, False]), [1, 0]),
        (GRADE, np.array([2, 3, 1]), [2, 0, 1]),
        (GRADE, np.array([2, np.nan]), [2, None]),
    ],
)
def test_labels_are_encoded_in_the_order_of_the_classes(task: Task, labels: Any, codes: list[int | None]) -> None:
    found = task.encode(labels)
    assert [None if np.isnan(code) else code for code in found] == codes


def test_codes_become_labels_in_the_type_of_the_target() -> None:
    assert CHURN.labels(np.array([1, 0])).tolist() == ["yes", "no"]
    assert LATE.labels(np.array([1, 0])).tolist() == [1, 0]
    assert GRADE.labels(np.array([0, 2])).tolist() == [3, 2]


@pytest.mark.parametrize(
    ("encode", "message"),
    [
        (lambda: CHURN.encode(np.array(["no", "maybe"], dtype=object)), "'maybe' is no class of 'churn'.*'no', 'yes'"),
        (lambda: GRADE.encode(np.array([1, 7])), "label 7 is no class of 'grade'; the classes are 3, 1, 2"),
        (lambda: LATE.encode(np.array([2.0])), "label 2 is no class of 'late'; the classes are false, true"),
        (lambda: CHURN.label_code(1), "label 1 is no class"),
        (lambda: GRADE.label_code(True), "label true is no class"),
        (lambda: GRADE.label_code("3"), "label '3' is no class"),
        (lambda: LATE.label_code("true"), "label 'true' is no class"),
    ],
)
def test_an_unknown_label_is_named(encode: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode()


def test_one_label_is_known_by_its_type_and_value() -> None:
    assert [CHURN.label_code("yes"), GRADE.label_code(2), LATE.label_code(True), LATE.label_code(0)] == [1, 2, 1, 0]
    assert [CHURN.known(label) for label in ("no", "No", None)] == [True, False, False]
    assert [LATE.known(label) for label in (False, 2)] == [True, False]


def test_log_odds_become_probabilities_and_labels() -> None:
    outputs = CHURN.decode(np.array([[0.0], [-2.0], [np.log(3)]]))
    assert outputs["churn"].tolist() == ["yes", "no", "yes"]
    assert list(outputs) == ["churn", "probability"]
    assert outputs["probability"][2] == pytest.approx([0.25, 0.75])


def test_the_first_of_equally_probable_classes_is_predicted() -> None:
    outputs = GRADE.decode(np.array([[1.0, 1, 0], [0, 1, 1]]))
    assert outputs["grade"].tolist() == [3, 1]
    assert GRADE.raw_columns == 3


def test_no_rows_have_no_predictions() -> None:
    assert {name: len(values) for name, values in GRADE.decode(np.empty((0, 3))).items()} == {
        "grade": 0,
        "probability": 0,
    }


def test_the_threshold_decides_and_calibration_comes_before_it() -> None:
    raw = np.array([[np.log(0.3 / 0.7)]])
    assert CHURN.decode(raw, calibration=Calibration(threshold=0.25))["churn"].tolist() == ["yes"]
    doubled = Calibration("isotonic", {"x": [[0.0, 0.5]], "y": [[0.0, 1.0]]})
    outputs = CHURN.decode(raw, calibration=doubled)
    assert outputs["probability"][0] == pytest.approx([0.4, 0.6])
    assert outputs["churn"].tolist() == ["yes"]


def test_look_ups_can_be_fitted_on_the_share_of_each_class() -> None:
    targets = GRADE.fit_targets(np.array([1, 3, np.nan]))
    assert targets["is_3"][:2].tolist() == [0, 1]
    assert np.isnan(targets["is_3"][2])
    assert targets["target"][:2].tolist() == targets["residual"][:2].tolist() == [1, 0]


@pytest.mark.parametrize("task", [CHURN, LATE, GRADE])
def test_a_task_survives_json(task: Task) -> None:
    assert task_from_dict(task.to_dict()) == task


def test_classes_of_numpy_are_plain_values() -> None:
    task = Multiclass(Field("g", Kind.INTEGER), classes=np.array([1, 2, 3]))
    assert [type(label) for label in task.classes] == [int, int, int]


@pytest.mark.parametrize(
    ("task", "fault"),
    [
        (Binary(TEXT), "a Binary has two, the negative and the positive one, and 0 are declared"),
        (Binary(TEXT, classes=("yes",)), "1 are declared: 'yes'"),
        (Binary(TEXT, classes=("a", "b", "c")), "with more, declare a Multiclass"),
        (Multiclass(TEXT, classes=("a", "b")), "with two, declare a Binary"),
        (Multiclass(Field("late", Kind.BOOLEAN), classes=(True, False, True)), "declare a Binary"),
        (Binary(TEXT, classes=("a", "a")), "'a' is listed 2 times"),
        (Multiclass(TEXT, classes=("a", 1, "b")), "several types, integer, text; all must be text"),
        (Multiclass(TEXT, classes=("1", 1, "b")), "'1' and 1 have the same text"),
        (Multiclass(TEXT, classes=("true", True, "b")), "'true' and True have the same text"),
        (Binary(TEXT, classes=(0, 1)), "the target is of kind text, and they are integer"),
        (Binary(Field("late", Kind.BOOLEAN), classes=(0, 1)), "the target is of kind boolean, and they are integer"),
        (Binary(TEXT, classes=("Yes", "yes")), "'Yes' and 'yes' differ only in case"),
        (Binary(TEXT, classes=("", "yes")), "'' is empty"),
        (Binary(TEXT, classes=("no\n", "yes")), "cannot be printed"),
        (Binary(Field("c", Kind.TEXT, max_length=2), classes=("no", "yes")), "'yes' has 3 characters"),
        (Binary(Field("c", Kind.INTEGER, maximum=5), classes=(0, 9)), "9 is not from"),
        (Binary(Field("c", Kind.NUMBER), classes=(0, 1)), "to predict numbers, declare a Regression"),
        (Binary(Field("probability", Kind.BOOLEAN)), "output 'probability': the name is reserved"),
        (Multiclass(Field("c", Kind.INTEGER), classes=range(MOST_CLASSES + 1)), f"at most {MOST_CLASSES} are possible"),
    ],
)
def test_faults_of_a_declaration_are_named(task: Task, fault: str) -> None:
    assert any(fault in found for found in task.faults({})), task.faults({})


def test_sound_declarations_have_no_faults() -> None:
    assert [task.faults({}) for task in (CHURN, LATE, GRADE)] == [[], [], []]


def test_the_summary_of_a_prediction_is_a_probability() -> None:
    assert CHURN.summary(CHURN.decode(np.array([[np.log(3)]]))) == pytest.approx([0.75])
    outputs = GRADE.decode(np.array([[0.0, np.log(2), 0.0]]))
    assert GRADE.summary(outputs) == pytest.approx([0.5])
    assert GRADE.summary(GRADE.decode(np.empty((0, 3)))).shape == (0,)
