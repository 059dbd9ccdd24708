"""How far the predictions of two models agree, row by row, and whether that makes them equivalent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.definition import TARGET
from tabular_bento.monitoring.compare.pairs import Pairs
from tabular_bento.monitoring.compare.result import Agreement, WorstRow
from tabular_bento.monitoring.compare.ruling import Ruling
from tabular_bento.monitoring.compare.settings import CompareSettings

_UNIT = TARGET.unit or "of the target"


def agreement(pairs: Pairs, settings: CompareSettings, worst: list[WorstRow]) -> Agreement | None:
    """How far the two agree; None for no rows."""
    if not len(pairs):
        return None
    distance = np.abs(pairs.delta)
    moved = int((distance > settings.moved_minutes).sum())
    return Agreement(
        rows_differing=int((_bits(pairs.baseline) != _bits(pairs.candidate)).sum()),
        rows_beyond=int((distance > allowed(pairs, settings)).sum()),
        largest=float(distance.max()),
        largest_ulps=_ulps(pairs),
        mean=float(pairs.delta.mean()),
        moved=moved,
        moved_share=moved / len(pairs),
        worst=worst,
    )


def allowed(pairs: Pairs, settings: CompareSettings) -> NDArray[np.float64]:
    """By how much each prediction may differ, shape [n]."""
    return np.asarray(settings.absolute_tolerance + settings.relative_tolerance * np.abs(pairs.baseline))


def judge_equivalence(found: Agreement | None, rows: int, settings: CompareSettings) -> Ruling:
    """Whether every row agrees, on enough rows."""
    ruling = Ruling()
    tolerance = f"{settings.absolute_tolerance:g} {_UNIT} plus {settings.relative_tolerance:g} of the prediction"
    if found is not None and found.rows_beyond:
        ruling.refusals.append(
            f"{found.rows_beyond:,} of {rows:,} predictions differ by more than {tolerance}; the largest difference is "
            f"{found.largest:.6g} {_UNIT}."
        )
    elif rows < settings.min_rows:
        ruling.unclear.append(f"{rows:,} rows agree, and fewer than {settings.min_rows:,} prove nothing.")
    elif found is not None:
        differ = f"{found.rows_differing:,} differ in their last bits" if found.rows_differing else "to the bit"
        ruling.praise.append(f"All {rows:,} predictions agree within {tolerance}: {differ}.")
    return ruling


def _ulps(pairs: Pairs) -> int:
    """The most float64 that lie between two predictions of a row; from 2**53 on, it says 2**53."""
    apart = np.abs(_bits(pairs.candidate).astype(np.float64) - _bits(pairs.baseline).astype(np.float64)).max()
    if apart >= 2**53:
        return 2**53
    near = pairs.candidate * pairs.baseline >= 0
    return int(np.abs(_bits(pairs.candidate[near]) - _bits(pairs.baseline[near])).max()) if near.any() else int(apart)


def _bits(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Numbers whose difference counts the float64 between two values (Dawson, Comparing Floating Point Numbers)."""
    bits = np.ascontiguousarray(values).view(np.int64)
    return np.where(bits < 0, np.int64(-(2**63)) - bits, bits)
