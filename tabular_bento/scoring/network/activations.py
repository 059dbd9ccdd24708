"""Activation functions with the same bits on every CPU, alone and in batches.

They are those of Keras 3 by its names, computed in float64 from the operations of `tabular_bento.tasks.arithmetic`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tabular_bento.tasks.arithmetic import exp, log, softmax

Array = NDArray[np.float64]

ActivationName = Literal[
    "linear",
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "sigmoid",
    "hard_sigmoid",
    "silu",
    "tanh",
    "softmax",
    "softplus",
    "softsign",
    "exponential",
    "mish",
]
"""The activations that there are."""

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805

# Rational approximations of erf below and of exp(x * x) * erfc from 0.46875, of W. J. Cody, Rational Chebyshev
# approximations for the error function, Mathematics of Computation 23 (1969); the highest power first.
_ERF_NEAR = 0.46875
_ERF_FAR = 6.0
"""Where erf is 1 in float64."""
_NEAR_TOP = (
    1.85777706184603153e-1,
    3.16112374387056560e0,
    1.13864154151050156e2,
    3.77485237685302021e2,
    3.20937758913846947e3,
)
_NEAR_BOTTOM = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
_FAR_TOP = (
    2.15311535474403846e-8,
    5.64188496988670089e-1,
    8.88314979438837594e0,
    6.61191906371416295e1,
    2.98635138197400131e2,
    8.81952221241769090e2,
    1.71204761263407058e3,
    2.05107837782607147e3,
    1.23033935479799725e3,
)
_FAR_BOTTOM = (
    1.0,
    1.57449261107098347e1,
    1.17693950891312499e2,
    5.37181101862009858e2,
    1.62138957456669019e3,
    3.29079923573345963e3,
    4.36261909014324716e3,
    3.43936767414372164e3,
    1.23033935480374942e3,
)


def relu(x: Array) -> Array:
    """The larger one of `x` and 0."""
    return np.maximum(x, 0.0)


def elu(x: Array, alpha: float = 1.0) -> Array:
    """`x` above 0, and `alpha * (exp(x) - 1)` below it."""
    return np.where(x > 0, x, alpha * (exp(np.minimum(x, 0.0)) - 1))


def leaky_relu(x: Array, negative_slope: float = 0.2) -> Array:
    """`x` above 0, and `negative_slope * x` below it."""
    return np.where(x > 0, x, negative_slope * x)


def sigmoid(x: Array) -> Array:
    """`1 / (1 + exp(-x))`."""
    rare = exp(-np.abs(x))
    return np.where(x >= 0, 1.0, rare) / (1 + rare)


def tanh(x: Array) -> Array:
    """The hyperbolic tangent."""
    rare = exp(-2 * np.abs(x))
    return np.copysign((1 - rare) / (1 + rare), x)


def softplus(x: Array) -> Array:
    """`log(1 + exp(x))`."""
    return np.maximum(x, 0.0) + log(1 + exp(-np.abs(x)))


def erf(x: Array) -> Array:
    """The error function, within 1e-15."""
    size = np.abs(x)
    near, far = np.minimum(size, _ERF_NEAR), np.minimum(np.maximum(size, _ERF_NEAR), _ERF_FAR)
    square = near * near
    below = near * _polynomial(_NEAR_TOP, square) / _polynomial(_NEAR_BOTTOM, square)
    above = 1 - exp(-far * far) * _polynomial(_FAR_TOP, far) / _polynomial(_FAR_BOTTOM, far)
    return np.copysign(np.where(size <= _ERF_NEAR, below, above), x)


def last_softmax(x: Array) -> Array:
    """Softmax over the last axis."""
    return softmax(x.reshape(-1, x.shape[-1])).reshape(x.shape)


def _hard_sigmoid(x: Array) -> Array:
    return np.minimum(np.maximum(x + 3, 0.0), 6.0) / 6


ACTIVATIONS: dict[ActivationName, Callable[[Array], Array] | None] = {
    "linear": None,
    "relu": relu,
    "relu6": lambda x: np.minimum(np.maximum(x, 0.0), 6.0),
    "leaky_relu": leaky_relu,
    "elu": elu,
    "selu": lambda x: _SELU_SCALE * elu(x, _SELU_ALPHA),
    "gelu": lambda x: x * (0.5 * (1 + erf(x * math.sqrt(0.5)))),
    "sigmoid": sigmoid,
    "hard_sigmoid": _hard_sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "tanh": tanh,
    "softmax": last_softmax,
    "softplus": softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "exponential": exp,
    "mish": lambda x: x * tanh(softplus(x)),
}
"""The function of each name; None is the identity."""


def _polynomial(terms: tuple[float, ...], x: Array) -> Array:
    total = np.full(x.shape, terms[0])
    for term in terms[1:]:
        total = total * x + term
    return total
