"""The fingerprint of feature code: whether a package and the code that runs mean the same by a feature."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path

from tabular_bento.features.feature_set import FeatureSet

ARITHMETIC_VERSION = 1
"""Raised whenever a feature, a look-up or a prediction of this library could come out with other bits.

`tests/golden` holds the values that this version gives.
"""

_LIBRARY = "tabular_bento."


def code_fingerprint(features: FeatureSet) -> str:
    """SHA-256 in hex of the source files that define a problem's own functions, and of `ARITHMETIC_VERSION`.

    It depends neither on the version of Python nor on where the files are. Of a problem that uses only parts of this
    library it is the version alone.

    Raises
    ------
    OSError
        Where the source of a function cannot be read.
    """
    files = {inspect.getsourcefile(item) for item in features.functions if not item.__module__.startswith(_LIBRARY)}
    if None in files:
        raise OSError("a feature's function has no source file: define it in a module")
    sums = sorted(hashlib.sha256(Path(str(path)).read_bytes()).hexdigest() for path in files)
    return hashlib.sha256(" ".join([str(ARITHMETIC_VERSION), *sums]).encode()).hexdigest()
