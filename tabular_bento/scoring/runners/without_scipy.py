"""Importing XGBoost where SciPy is not installed, as in the image, which would be a quarter larger with it.

XGBoost asks for SciPy at import, and then only to tell sparse matrices from others; the runner hands it dense ones. So
a module with that one class stands in while XGBoost is imported, and is gone afterwards: whoever asks for SciPy later
finds that it is not there. Training has the real one. A unit test fails when XGBoost asks for more.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType


class csr_matrix:  # noqa: N801
    """What nothing is an instance of."""


@contextmanager
def scipy_stood_in() -> Iterator[None]:
    """Have `scipy.sparse` importable inside the block, by a stand-in where SciPy is not installed."""
    if find_spec("scipy") is not None:
        yield
        return
    scipy, sparse = ModuleType("scipy"), ModuleType("scipy.sparse")
    sparse.csr_matrix = csr_matrix  # type: ignore[attr-defined]
    scipy.sparse = sparse  # type: ignore[attr-defined]
    scipy.__path__ = []
    sys.modules.update({"scipy": scipy, "scipy.sparse": sparse})
    try:
        yield
    finally:
        del sys.modules["scipy"], sys.modules["scipy.sparse"]
