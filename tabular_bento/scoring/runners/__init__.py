"""The runners, by kind. A new one is a module beside these and a line here."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from tabular_bento.errors import PackageError
from tabular_bento.scoring.runners.base import Runner

KINDS = {
    "xgboost": ("tabular_bento.scoring.runners.xgboost", "XGBoostRunner"),
    "sklearn": ("tabular_bento.scoring.runners.sklearn", "SklearnRunner"),
}

__all__ = ["KINDS", "Runner", "load_runner"]


def load_runner(kind: str, directory: Path) -> Runner:
    """The runner stored in `directory`; its library is imported only here.

    Raises PackageError for a kind that is not served, a library that is not installed, or a file that cannot be read.
    """
    if kind not in KINDS:
        raise PackageError(f"The package wants the runner {kind!r}; this checkout has {', '.join(KINDS)}.")
    module, name = KINDS[kind]
    try:
        runner_class: type[Runner] = getattr(import_module(module), name)
    except ImportError as error:
        raise PackageError(
            f"The package's runner {kind!r} needs {error.name}, which is not installed: "
            f"install the extra {kind!r} of pyproject.toml."
        ) from error
    try:
        return runner_class.load(directory)
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise PackageError(
            f"{directory / runner_class.file} cannot be read ({reason[0] if reason else type(error).__name__}): "
            "train the model again, or restore the package from a copy."
        ) from error
