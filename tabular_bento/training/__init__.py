"""Training: from a data set to a fitted, measured model, and from that to an entry of the model store.

>>> model = train(PROBLEM, SOURCE.load(), load_config())  # doctest: +SKIP
>>> tag, fingerprint = publish(model)  # doctest: +SKIP
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tabular_bento.training.config import TrainingConfig, load_config
from tabular_bento.training.pipeline import TrainedModel, train

if TYPE_CHECKING:
    from pathlib import Path

# OpenMP's threads wait in a loop by default, which makes a fit on busy cores several times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__all__ = ["TrainedModel", "TrainingConfig", "load_config", "publish", "train"]


def publish(model: TrainedModel, folder: Path | None = None) -> tuple[str, str]:
    """Save a trained model as a package of the model store, see `tabular_bento.training.publishing`."""
    from tabular_bento.training.publishing import publish as save

    return save(model, folder)
