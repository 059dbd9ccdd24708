"""What the checks say of runners that are at fault: the check, the fault and what was expected."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from tabular_bento.scoring.runners import Parameters
from tabular_bento.testing import check_runner
from tests.runner_page import neighbours_runner

SOUND: Any = neighbours_runner()
REUSED = np.empty((1000, 1))


class WithoutDefault(Parameters):
    """Parameters of which one has to be given."""

    size: int


def fit_unlike(cls: Any, data: Any, parameters: Any, task: Any, seed: int) -> Any:
    runner = SOUND.fit.__func__(cls, data, parameters, task, seed)
    runner.center = runner.center + np.random.default_rng().normal(0, 1e-9)
    return runner


def fit_unweighted(cls: Any, data: Any, parameters: Any, task: Any, seed: int) -> Any:
    runner = SOUND.fit.__func__(cls, data, parameters, task, seed)
    runner.weights = np.ones(len(data.y))
    return runner


def fit_anything(cls: Any, data: Any, parameters: Any, task: Any, seed: int) -> Any:  # noqa: ARG001
    squares = type("Task", (), {"loss": "squared_error", "check_learnable": id})
    return SOUND.fit.__func__(cls, data, parameters, squares, 0)


def fit_many(cls: Any, data: Any, parameters: Any, task: Any, seed: int) -> Any:
    if len(data.y) < 100:
        raise ValueError("there are too few rows")
    return SOUND.fit.__func__(cls, data, parameters, task, seed)


def predict_reused(self: Any, X: Any) -> Any:
    found = REUSED[: len(X)]
    found[:] = SOUND.predict(self, X)
    return found


def predict_by_batch(self: Any, X: Any) -> Any:
    scores = SOUND.predict(self, X)
    return scores + 1e-13 * len(X) if len(X) > 1 else scores


def predict_overflowing(self: Any, X: Any) -> Any:
    return SOUND.predict(self, X) + np.where(np.nanmax(np.abs(X), axis=1, initial=0) > 1e30, np.inf, 0)[:, None]


def predict_into_rows(self: Any, X: Any) -> Any:
    X[:] = np.nan_to_num(X)
    return SOUND.predict(self, X)


def save_pickled(self: Any, directory: Path) -> None:
    (directory / "model.pkl").write_bytes(pickle.dumps(vars(self)))


def load_pickled(cls: Any, directory: Path) -> Any:
    return cls(**pickle.loads((directory / "model.pkl").read_bytes()))


def load_and_unpickle(cls: Any, directory: Path) -> Any:
    pickle.loads(pickle.dumps(BaseModel))
    return SOUND.load.__func__(cls, directory)


def load_other(cls: Any, directory: Path) -> Any:
    runner = SOUND.load.__func__(cls, directory)
    runner.center = runner.center + 1.0
    return runner


def load_anything(cls: Any, directory: Path) -> Any:
    try:
        return SOUND.load.__func__(cls, directory)
    except Exception:
        return cls(*[np.ones((1, 6))] * 6)


def save_time(self: Any, directory: Path) -> None:
    SOUND.save(self, directory)
    (directory / "more.json").write_text(json.dumps(id(self)))


def explain_too_much(self: Any, X: Any) -> Any:
    return np.concatenate([np.ones((len(X), 1, X.shape[1])), SOUND.predict(self, X)[:, :, None]], axis=2)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "takes": ({"takes": "rows"}, "check_declaration.*`takes` is 'rows'"),
    "tolerance": ({"tolerance": -1.0}, "check_declaration.*`tolerance` is -1"),
    "exact": ({"exact": "yes"}, "check_declaration.*`exact` is 'yes', and has to be a bool"),
    "distribution": ({"distribution": "not-there"}, "check_declaration.*'not-there'.*not installed"),
    "parameters": ({"Parameters": WithoutDefault}, "check_declaration.*'size' has no default"),
    "loss": ({"losses": ("hinge",)}, "check_declaration.*losses.*none of the tasks"),
    "learns": ({"predict": lambda _, X: np.zeros((len(X), 1))}, "check_learning of .*, regression: the mean loss"),
    "repeats": ({"fit": classmethod(fit_unlike)}, r"check_repetition.*in other bytes, in model\.npz"),
    "bytes": ({"save": save_time}, r"check_repetition.*in other bytes, in more\.json"),
    "weights": ({"fit": classmethod(fit_unweighted)}, "check_weights.*by weight"),
    "few": ({"fit": classmethod(fit_many)}, "check_small_table.*ValueError: there are too few rows"),
    "task": ({"fit": classmethod(fit_anything)}, "check_refused_task.*, binary: the loss 'log_loss'.*TrainingError"),
    "float32": ({"predict": lambda self, X: SOUND.predict(self, X).astype(np.float32)}, "check_scores.*are float32"),
    "shape": ({"predict": lambda self, X: SOUND.predict(self, X)[:, 0]}, r"check_.*"),
    "kept": ({"predict": predict_reused}, "check_scores.*change with the next call"),
    "rows": ({"predict": predict_into_rows}, "check_.*read-only"),
    "batch": ({"predict": predict_by_batch}, "check_batches.*row 0 has the score .* alone.*agree to every bit"),
    "extremes": ({"predict": predict_overflowing}, r"check_extremes.*feature 0 is 3\.4.*has the scores \[inf\]"),
    "loaded": ({"load": classmethod(load_other)}, "check_saving.*once it is saved and loaded"),
    "pickled": ({"save": save_pickled, "load": classmethod(load_pickled)}, r"check_pickles.*model\.pkl is a pickle"),
    "unpickles": ({"load": classmethod(load_and_unpickle)}, "check_pickles.*unpickling pydantic.*not allowed"),
    "damaged": ({"load": classmethod(load_anything)}, r"check_damaged_files.*npz is missing: `load` has to raise"),
    "explains": ({"explains": True, "explain": explain_too_much}, "check_explanation.*differ from the score"),
    "no explain": ({"explains": True}, "check_declaration.*no method `explain`"),
}  # fmt: skip


def test_the_runner_of_the_page_is_sound() -> None:
    check_runner(SOUND)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_by_its_check(name: str) -> None:
    changed, message = FAULTS[name]
    with pytest.raises(AssertionError, match=f"(?s){message}"):
        check_runner(type("Faulty", (SOUND,), changed))


def test_a_runner_that_is_not_exact_is_held_to_its_tolerance() -> None:
    near = {"exact": False, "tolerance": 1e-9, "predict": predict_by_batch}
    check_runner(type("Near", (SOUND,), near))
    with pytest.raises(AssertionError, match=r"check_batches.*agree to the tolerance of 1e-13"):
        check_runner(type("Far", (SOUND,), near | {"tolerance": 1e-13}))
    check_runner(type("OneByOne", (SOUND,), near | {"tolerance": 0.0}))
