"""Outputs that a server returned, in the form that a package gives them in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.protocol.values import held
from tabular_bento.schema import Field
from tabular_bento.tasks import Output


def held_output(output: Output, values: Sequence[Any]) -> NDArray[Any]:
    """JSON values of an output as arrays.

    Parameters
    ----------
    output : Output
        The output.
    values : sequence
        n JSON values; lists of the parts' numbers where it has parts.

    Returns
    -------
    ndarray of shape [n] or [n, parts]
    """
    if output.parts:
        return np.array(values, dtype=np.float64).reshape(len(values), len(output.parts))
    plain = [held(output.kind, value) for value in values]
    return np.array(plain, dtype=Field(output.name, output.kind).dtype)
