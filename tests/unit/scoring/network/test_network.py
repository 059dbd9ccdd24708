from __future__ import annotations

import math
import os
import subprocess
import sys
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from tabular_bento.errors import NetworkError
from tabular_bento.scoring.network import LAYERS, Network
from tabular_bento.scoring.network.activations import ACTIVATIONS, erf
from tests.models import ROOT

ROWS = 600


def document() -> dict[str, Any]:
    """A network with a layer of every type that has weights, and a table of codes beside the numbers."""

    def layer(name: str, kind: str, *inputs: str, **settings: Any) -> dict[str, Any]:
        return {"name": name, "type": kind, "inputs": list(inputs), **settings}

    return {
        "inputs": [{"name": "numbers", "width": 5}, {"name": "codes", "width": 2}],
        "layers": [
            layer("scaled", "Normalization", "numbers"),
            layer("table", "Embedding", "codes", input_dim=7, output_dim=3),
            layer("wide", "Dense", "table", units=4, activation="gelu"),
            layer("flat", "Flatten", "wide"),
            layer("all", "Concatenate", "scaled", "flat"),
            layer("one", "Dense", "all", units=33, activation="tanh"),
            layer("batch", "BatchNormalization", "one"),
            layer("two", "Dense", "batch", units=33, activation="silu", use_bias=False),
            layer("both", "Add", "two", "batch"),
            layer("row", "LayerNormalization", "both"),
            layer("dropped", "Dropout", "row"),
            layer("curve", "ELU", "dropped"),
            layer("out", "Dense", "curve", units=1),
        ],
        "output": "out",
    }


SHAPES = {
    "scaled/mean": (5,),
    "scaled/variance": (5,),
    "table/embeddings": (7, 3),
    "wide/kernel": (3, 4),
    "wide/bias": (4,),
    "one/kernel": (13, 33),
    "one/bias": (33,),
    "batch/gamma": (33,),
    "batch/beta": (33,),
    "batch/moving_mean": (33,),
    "batch/moving_variance": (33,),
    "two/kernel": (33, 33),
    "row/gamma": (33,),
    "row/beta": (33,),
    "out/kernel": (33, 1),
    "out/bias": (1,),
}


def weights() -> dict[str, Any]:
    random = np.random.default_rng(1)
    found = {name: random.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    return {name: abs(values) if name.endswith("variance") else values for name, values in found.items()}


def rows(count: int = ROWS) -> list[Any]:
    random = np.random.default_rng(2)
    numbers = random.normal(size=(ROWS, 5)).astype(np.float32)
    codes = random.integers(0, 7, (ROWS, 2)).astype(np.float32)
    return [numbers[:count], codes[:count]]


def changed(place: int, **settings: Any) -> dict[str, Any]:
    """The document with other settings of one layer."""
    found = document()
    found["layers"][place] |= settings
    return found


def test_a_row_has_the_same_bits_alone_in_batches_and_in_another_order() -> None:
    network, given = Network(document(), weights()), rows()
    whole = network.predict(given)
    assert whole.shape == (ROWS, 1)
    assert np.isfinite(whole).all()
    for size in (1, 2, 3, 7, 64, 255, 257):
        batches = [network.predict([each[at : at + size] for each in given]) for at in range(0, ROWS, size)]
        assert np.concatenate(batches).tobytes() == whole.tobytes()
    order = np.random.default_rng(0).permutation(ROWS)
    assert network.predict([each[order] for each in given]).tobytes() == whole[order].tobytes()


def test_products_are_added_from_the_first_number_to_the_last() -> None:
    random = np.random.default_rng(3)
    for width, units in ((1, 1), (2, 1), (7, 1), (129, 1), (64, 2), (31, 3), (16, 17), (300, 64)):
        kernel = random.normal(size=(width, units)).astype(np.float32)
        layer = LAYERS["Dense"](name="d", inputs=("x",), units=units).prepare(  # type: ignore[call-arg]
            {"kernel": kernel, "bias": np.zeros(units, dtype=np.float32)}
        )
        for count in (1, 2, 7, 100, 1000):
            x = random.normal(size=(count, width)).astype(np.float32)
            total = np.zeros((count, units))
            for column in range(width):
                total = total + x[:, column : column + 1].astype(np.float64) * kernel[column]
            assert layer(x).tobytes() == total.astype(np.float32).tobytes(), (width, units, count)


BITS = """
import hashlib
import numpy as np
from tests.unit.scoring.network.test_network import Network, changed, rows, weights
from tabular_bento.scoring.network.activations import ACTIVATIONS

digest = hashlib.sha256()
for name in ACTIVATIONS:
    digest.update(Network(changed(5, activation=name), weights()).predict(rows()).tobytes())
print(digest.hexdigest())
"""


def test_scores_are_the_same_bits_on_every_cpu() -> None:
    # Read where it is: importing the module whole would name what a version of NumPy calls its features.
    dispatched = import_module("numpy._core._multiarray_umath").__cpu_dispatch__
    digests = set()
    for core, disabled in (("SkylakeX", []), ("Haswell", dispatched[1:]), ("Nehalem", dispatched)):
        environment = {"OPENBLAS_CORETYPE": core, "NPY_DISABLE_CPU_FEATURES": " ".join(disabled)}
        result = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", BITS],
            env=os.environ | environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(result.stdout)
    assert len(digests) == 1


def test_activations_are_close_to_what_they_are() -> None:
    x = np.linspace(-30, 30, 6001)
    exact: dict[str, Any] = {
        "sigmoid": lambda v: 1 / (1 + math.exp(-v)),
        "tanh": math.tanh,
        "softplus": lambda v: math.log1p(math.exp(v)),
        "gelu": lambda v: v * 0.5 * (1 + math.erf(v / math.sqrt(2))),
        "silu": lambda v: v / (1 + math.exp(-v)),
        "elu": lambda v: v if v > 0 else math.expm1(v),
        "mish": lambda v: v * math.tanh(math.log1p(math.exp(v))),
        "hard_sigmoid": lambda v: min(max(v + 3, 0), 6) / 6,
        "softsign": lambda v: v / (1 + abs(v)),
    }
    for name, function in exact.items():
        activate = ACTIVATIONS[name]  # type: ignore[index]
        assert activate is not None
        np.testing.assert_allclose(activate(x), [function(v) for v in x], rtol=1e-12, atol=1e-13, err_msg=name)
    np.testing.assert_allclose(erf(x), [math.erf(v) for v in x], rtol=2e-15, atol=1e-15)


def test_a_document_gives_the_same_network_again() -> None:
    network = Network(document(), weights())
    again = Network(network.document(), network.weights)
    assert again.document() == network.document()
    assert again.predict(rows()).tobytes() == network.predict(rows()).tobytes()


def test_a_code_outside_of_the_table_gives_no_number() -> None:
    numbers, codes = rows(4)
    codes[:, 0] = [7, -1, np.nan, 6.9]
    found = Network(document(), weights()).predict([numbers, codes])[:, 0]
    assert np.isnan(found[:3]).all()
    assert np.isfinite(found[3])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (changed(0, type="Lambda"), "The layer 'scaled' is of the type 'Lambda', which cannot be served"),
        (changed(1, input_dim=0), "The network cannot be read: layers.1.Embedding.input_dim"),
        (changed(1, function="os.system"), "The network cannot be read: layers.1.Embedding.function"),
        (changed(5, activation="run"), "The network cannot be read: layers.5.Dense.activation"),
        (changed(3, inputs=["out"]), "The layer 'flat' reads 'out', which is no input and no layer before it"),
        (changed(3, inputs=["wide", "wide"]), "The layer 'flat' has 2 inputs"),
        (changed(3, name="numbers"), "Two layers or inputs of the network are named 'numbers'"),
        (changed(8, inputs=["two", "scaled"]), r"The layer 'both': values of shapes \[33\] and \[5\] cannot be added"),
        (changed(4, inputs=["scaled", "wide"]), r"'all': values of shapes \[5\] and \[2, 4\] cannot be put side"),
        (changed(5, units=10**7), "'one' has more than 1,000,000 values a row"),
        (changed(1, input_dim=10**9), "more than 100,000,000 weights"),
        ({**document(), "output": "nothing"}, "The output of the network is 'nothing'"),
        ({**document(), "output": "wide"}, r"The layer 'wide' gives values of shape \[2, 4\]"),
        ({**document(), "inputs": [{"name": "x", "width": 5}] * 2}, "Two inputs of the network have the same name"),
        ({**document(), "layers": []}, "The network cannot be read: layers"),
    ],
)
def test_what_no_network_may_say_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        Network(given, weights())


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("one/kernel", None, "The weights 'one/kernel' of the network are missing"),
        ("one/kernel", np.zeros((12, 33), dtype=np.float32), r"shape \[12, 33\], and the layer's is \[13, 33\]"),
        ("one/bias", np.full(33, np.nan, dtype=np.float32), "'one/bias' hold a number that is not finite"),
        ("one/bias", np.full(33, 1e300), "'one/bias' hold a number that is not finite"),
        ("one/bias", np.array(["0"] * 33), "'one/bias' are of the type <U1, and must be floats"),
        ("batch/moving_variance", np.full(33, -1, dtype=np.float32), "The layer 'batch': a variance is below 0"),
        ("other", np.zeros(1, dtype=np.float32), "The network has no layer for the weights 'other'"),
    ],
)
def test_weights_that_do_not_fit_are_refused(name: str, values: Any, message: str) -> None:
    given = weights()
    given.pop(name, None)
    if values is not None:
        given[name] = values
    with pytest.raises(NetworkError, match=message):
        Network(document(), given)
