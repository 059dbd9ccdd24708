from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tabular_bento.tasks import Calibration
from tabular_bento.tasks.arithmetic import sigmoid, softmax

SCORES = np.random.default_rng(0).normal(0, 3, 500)
BOTH = sigmoid(SCORES)
THREE = softmax(np.random.default_rng(1).normal(0, 3, (500, 3)))

PLATT = Calibration("platt", {"slope": [0.5], "intercept": [1.0]}, threshold=0.3)
ISOTONIC = Calibration("isotonic", {"x": [[0.1, 0.5, 0.9]], "y": [[0.0, 0.2, 1.0]]})
PLATT_OF_THREE = Calibration("platt", {"slope": [0.5, 1, 2], "intercept": [1, 0, -1]})
STEPS = {"x": [[0.2, 0.8]] * 3, "y": [[0.0, 1.0]] * 3}


def test_platt_scales_and_shifts_the_log_odds() -> None:
    np.testing.assert_allclose(PLATT.apply(BOTH), sigmoid(SCORES * 0.5 + 1), rtol=1e-12)


def test_isotonic_is_linear_between_its_points_and_constant_beyond() -> None:
    probability = np.array([0.0, 0.1, 0.3, 0.5, 0.7, 1.0])
    mapped = ISOTONIC.apply(np.stack([1 - probability, probability], axis=1))
    assert mapped[:, 1] == pytest.approx([0, 0, 0.1, 0.2, 0.6, 1])
    assert mapped.sum(axis=1) == pytest.approx(1)


def test_several_classes_are_mapped_each_and_add_up() -> None:
    for calibration in (PLATT_OF_THREE, Calibration("isotonic", STEPS)):
        mapped = calibration.apply(THREE)
        np.testing.assert_allclose(mapped.sum(axis=1), 1, rtol=1e-14)
        assert (mapped >= 0).all()


def test_classes_that_are_all_mapped_to_zero_are_equally_probable() -> None:
    zero = Calibration("isotonic", {"x": [[0.5, 1.0]] * 3, "y": [[0.0, 1.0]] * 3})
    assert zero.apply(np.array([[0.3, 0.3, 0.4]]))[0] == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    ("calibration", "probability"),
    [(PLATT, BOTH), (ISOTONIC, BOTH), (PLATT_OF_THREE, THREE), (Calibration("isotonic", STEPS), THREE)],
)
def test_a_row_is_calibrated_to_the_same_bits_alone_and_in_batches(calibration: Calibration, probability: Any) -> None:
    alone = [calibration.apply(probability[index : index + 1]) for index in range(len(probability))]
    assert calibration.apply(probability).tobytes() == np.concatenate(alone).tobytes()


def test_certain_probabilities_stay_finite() -> None:
    assert np.isfinite(PLATT.apply(np.array([[0.0, 1.0], [1.0, 0.0]]))).all()


@pytest.mark.parametrize("calibration", [Calibration(), PLATT, ISOTONIC, PLATT_OF_THREE])
def test_a_calibration_survives_json(calibration: Calibration) -> None:
    assert Calibration.from_dict(json.loads(json.dumps(calibration.to_dict()))) == calibration


def test_arrays_of_numpy_become_plain_numbers() -> None:
    calibration = Calibration("isotonic", {"x": [np.array([0, 1])], "y": [np.array([0.25, 0.5])]})
    assert calibration.to_dict()["arrays"] == {"x": [[0.0, 1.0]], "y": [[0.25, 0.5]]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("beta",), "there is no calibration 'beta'; there are none, platt, isotonic"),
        (("none", {}, 1.5), "from 0 to 1"),
        (("platt", {"slope": [1]}), "not \\['intercept', 'slope'\\]"),
        (("platt", {"slope": [1], "intercept": [1, 2]}), "differ in length"),
        (("isotonic", {"x": [[0, 0]], "y": [[0, 1]]}), "x must rise"),
        (("isotonic", {"x": [[0, 1]], "y": [[1, 0]]}), "y may not fall"),
        (("isotonic", {"x": [[0, 1]], "y": [[0, 2]]}), "from 0 to 1"),
        (("isotonic", {"x": [[0, 1]], "y": [[0]]}), "2 points of x and 1 of y"),
    ],
)
def test_arrays_that_are_no_calibration_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Calibration(*arguments)


def test_it_must_be_one_of_as_many_classes() -> None:
    PLATT.check(2)
    PLATT_OF_THREE.check(3)
    with pytest.raises(ValueError, match="slope has 1 entries, not 3"):
        PLATT.check(3)
