"""Exponentials and logarithms with the same bits on every CPU, alone and in batches.

NumPy's own `exp` and `log` differ in the last bit between the vector units of CPUs. These use only operations that
IEEE 754 rounds in one way: addition, multiplication, division and scaling by powers of two.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_LOG2_HIGH = float.fromhex("0x1.62e42feep-1")
"""The leading bits of log 2: its products with the exponents of floats are exact."""
_LOG2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
_PER_LOG2 = 1 / math.log(2)
_LOWEST, _HIGHEST = -746.0, 710.0
"""Where exp is 0 and infinite."""
_EXP_TERMS = tuple(1 / math.factorial(n) for n in range(13, -1, -1))
_LOG_TERMS = tuple(1 / n for n in range(23, 0, -2))


def exp(values: Any) -> Array:
    """The exponential, correct to two units in the last place.

    The argument is reduced to at most half of log 2, where 14 terms of the Taylor series suffice.

    Parameters
    ----------
    values : array_like
        Real numbers.

    Returns
    -------
    ndarray
        Of the same shape; NaN where the value is NaN.
    """
    x = np.minimum(np.maximum(np.asarray(values, dtype=np.float64), _LOWEST), _HIGHEST)
    power = np.rint(x * _PER_LOG2)
    rest = (x - power * _LOG2_HIGH) - power * _LOG2_LOW
    total = _polynomial(_EXP_TERMS, rest)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return np.asarray(np.ldexp(total, power.astype(np.int32)))


def log(values: Any) -> Array:
    """The natural logarithm, correct to three units in the last place.

    The mantissa is reduced to between the roots of 1/2 and 2, where 12 terms of the series of the inverse hyperbolic
    tangent suffice.

    Parameters
    ----------
    values : array_like
        Numbers of 0 and more.

    Returns
    -------
    ndarray
        Of the same shape; minus infinity at 0, NaN below it and where the value is NaN.
    """
    x = np.asarray(values, dtype=np.float64)
    mantissa, exponent = np.frexp(x)
    low = mantissa < math.sqrt(0.5)
    mantissa = np.where(low, mantissa * 2, mantissa)
    power = (exponent - low).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = (mantissa - 1) / (mantissa + 1)
        square = ratio * ratio
        total = _polynomial(_LOG_TERMS, square)
        result = power * _LOG2_HIGH + (power * _LOG2_LOW + 2 * ratio * total)
    result = np.where(x == 0, -np.inf, result)
    result = np.where(x == np.inf, np.inf, result)
    return np.where(x < 0, np.nan, result)


def sigmoid(log_odds: Any) -> Array:
    """Probabilities of both classes.

    Parameters
    ----------
    log_odds : array_like of shape [n]
        Log-odds of the second class.

    Returns
    -------
    ndarray of shape [n, 2]
    """
    scores = np.asarray(log_odds, dtype=np.float64)
    rare = exp(-np.abs(scores))
    total = 1 + rare
    less, more = rare / total, 1 / total
    first = np.where(scores >= 0, less, more)
    second = np.where(scores >= 0, more, less)
    return np.stack([first, second], axis=1)


def softmax(log_odds: Any) -> Array:
    """Probabilities of k classes.

    Parameters
    ----------
    log_odds : array_like of shape [n, k]
        Log-odds up to a constant of each row.

    Returns
    -------
    ndarray of shape [n, k]
    """
    scores = np.asarray(log_odds, dtype=np.float64)
    return normalised(exp(scores - scores.max(axis=1, keepdims=True)))


def normalised(weights: Array) -> Array:
    """Rows divided by their sums, which are taken from the first to the last; uniform where a sum is 0.

    Parameters
    ----------
    weights : ndarray of shape [n, k]
        Numbers of 0 and more.

    Returns
    -------
    ndarray of shape [n, k]
    """
    total = np.cumsum(weights, axis=1)[:, -1:]
    empty = total == 0
    return np.where(empty, 1 / weights.shape[1], weights / np.where(empty, 1.0, total))


def _polynomial(terms: tuple[float, ...], values: Array) -> Array:
    """The polynomial of `terms`, the highest power first, at `values`."""
    total = np.full(values.shape, terms[0])
    for term in terms[1:]:
        total *= values
        total += term
    return total
