"""Importing XGBoost and LightGBM where SciPy is not installed, as in the image: it would be a quarter larger with it.

They ask for SciPy at import, and then only to tell sparse matrices from others; the runners hand them dense ones. So a
module with those classes stands in while they are imported, and is gone afterwards: whoever asks for SciPy later finds
that it is not there. Training has the real one. A unit test fails when one of them asks for more.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType


class spmatrix:  # noqa: N801
    """What nothing is an instance of."""


class csr_matrix(spmatrix):  # noqa: N801
    """Nor of this."""


class csc_matrix(spmatrix):  # noqa: N801
    """Nor of this."""


@contextmanager
def scipy_stood_in() -> Iterator[None]:
    """Have `scipy.sparse` importable inside the block, by a stand-in where SciPy is not installed."""
    if find_spec("scipy") is not None:
        yield
        return
    scipy, sparse = ModuleType("scipy"), ModuleType("scipy.sparse")
    for each in (spmatrix, csr_matrix, csc_matrix):
        setattr(sparse, each.__name__, each)
    scipy.sparse = sparse  # type: ignore[attr-defined]
    scipy.__path__ = []
    sys.modules.update({"scipy": scipy, "scipy.sparse": sparse})
    try:
        yield
    finally:
        del sys.modules["scipy"], sys.modules["scipy.sparse"]
