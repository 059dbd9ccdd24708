from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from tabular_bento.tasks.arithmetic import exp, log, normalised, sigmoid, softmax

BITS = """
import hashlib
import numpy as np
from tabular_bento import Binary, Field, Kind, Multiclass
from tabular_bento.tasks import Calibration
from tabular_bento.tasks.arithmetic import exp, log

scores = np.random.default_rng(5).normal(0, 8, (5000, 4))
late = Binary(Field("late", Kind.BOOLEAN))
grade = Multiclass(Field("grade", Kind.INTEGER), classes=(1, 2, 3, 4))
points = {"x": [[0.1, 0.5, 0.7]] * 4, "y": [[0.05, 0.6, 0.9]] * 4}
calibrations = Calibration("platt", {"slope": [0.7], "intercept": [0.1]}), Calibration("isotonic", points)
results = [exp(scores), log(exp(scores))]
for task, raw, calibration in ((late, scores[:, :1], calibrations[0]), (grade, scores, calibrations[1])):
    for applied in (None, calibration):
        results += task.decode(raw, calibration=applied).values()
print(hashlib.sha256(b"".join(result.tobytes() for result in results)).hexdigest())
"""


def test_exp_and_log_are_those_of_numpy_to_the_last_digits() -> None:
    x = np.linspace(-700, 700, 50_001)
    y = 10 ** np.linspace(-300, 300, 50_001)

    np.testing.assert_array_max_ulp(exp(x), np.exp(x), 2)
    np.testing.assert_array_max_ulp(log(y), np.log(y), 3)


def test_the_ends_of_exp_and_log() -> None:
    assert exp([0.0, -np.inf, np.inf, -800.0, 800.0]).tolist() == [1, 0, np.inf, 0, np.inf]
    assert log([1.0, 0.0, np.inf]).tolist() == [0, -np.inf, np.inf]
    assert np.isnan([exp(np.nan), log(np.nan), log(-1.0)]).all()


def test_softmax_and_sigmoid_agree_and_add_up() -> None:
    scores = np.random.default_rng(0).normal(0, 20, 2000)

    both = sigmoid(scores)

    np.testing.assert_allclose(both.sum(axis=1), 1, rtol=1e-15)
    np.testing.assert_allclose(both, softmax(np.stack([np.zeros(2000), scores], axis=1)), rtol=1e-13)
    assert sigmoid([0.0]).tolist() == [[0.5, 0.5]]


def test_weights_that_are_all_zero_are_spread_evenly() -> None:
    assert normalised(np.array([[0.0, 0.0], [1.0, 3.0]])).tolist() == [[0.5, 0.5], [0.25, 0.75]]


@pytest.mark.parametrize("classes", [3, 9, 40])
def test_probabilities_are_the_same_bits_alone_and_in_batches(classes: int) -> None:
    scores = np.random.default_rng(1).normal(0, 5, (300, classes))

    whole = softmax(scores)

    assert whole.tobytes() == np.concatenate([softmax(scores[i : i + 1]) for i in range(300)]).tobytes()
    assert whole.tobytes() == softmax(np.asfortranarray(scores)).tobytes()


def test_the_bits_do_not_depend_on_the_vector_units_of_the_cpu() -> None:
    numpy: Any = import_module("numpy._core._multiarray_umath")
    present = [name for name in numpy.__cpu_dispatch__ if numpy.__cpu_features__.get(name)]
    found = {
        subprocess.run(
            [sys.executable, "-c", BITS],
            env=os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(disabled)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for disabled in ([], [name for name in present if "512" in name], present)
    }
    assert len(found) == 1
