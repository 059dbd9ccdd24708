"""How much each feature moves the model's answers: the weight of its drift."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

ROWS = 2_000


def importance(
    predict: Callable[[NDArray[np.float32]], NDArray[np.float64]], features: NDArray[np.float32], seed: int
) -> NDArray[np.float64]:
    """Each feature's share of the answers' mean squared change when it alone is shuffled among rows, shape [features].

    Model reliance by permutation (Fisher, Rudin and Dominici, All Models are Wrong, but Many are Useful, JMLR 20, 2019,
    after Breiman, Random Forests, 2001), of the answer rather than of the error: it asks for no outcomes, is never
    negative, and means the same for every runner. `features` is of shape [n, features], n at least 2; up to `ROWS` of
    them are used. All equal where nothing moves the answer.
    """
    rng = np.random.default_rng(seed)
    rows = features[rng.choice(len(features), min(ROWS, len(features)), replace=False)]
    answers, changes = predict(rows), np.empty(rows.shape[1])
    for place in range(rows.shape[1]):
        shuffled = rows.copy()
        shuffled[:, place] = rng.permutation(rows[:, place])
        changes[place] = np.mean((predict(shuffled) - answers) ** 2)
    total = changes.sum()
    return np.asarray(changes / total if total else np.full(len(changes), 1 / len(changes)))
