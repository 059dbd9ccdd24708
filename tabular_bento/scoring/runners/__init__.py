"""The runners, by kind: those of this library, and those of others by the entry point group `tabular_bento.runners`."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any

from tabular_bento.environment import pip_install_command
from tabular_bento.errors import ConfigError, PackageError, TrainingError
from tabular_bento.scoring.runners.base import FittingData, OneByOne, Parameters, Runner, objective_of
from tabular_bento.tasks import Task

GROUP = "tabular_bento.runners"

BUILT_IN = {
    "xgboost": ("tabular_bento.scoring.runners.xgboost", "XGBoostRunner"),
    "sklearn": ("tabular_bento.scoring.runners.sklearn", "SklearnRunner"),
    "linear": ("tabular_bento.scoring.runners.linear", "LinearRunner"),
    "lightgbm": ("tabular_bento.scoring.runners.lightgbm", "LightGBMRunner"),
    "keras": ("tabular_bento.scoring.runners.keras", "KerasRunner"),
    "pipeline": ("tabular_bento.scoring.runners.pipeline", "PipelineRunner"),
}

EXTRAS = {"linear": "sklearn"}
"""The extra of this library with which a built-in runner is trained, where it is not named as the runner."""

__all__ = [
    "BUILT_IN",
    "EXTRAS",
    "GROUP",
    "FittingData",
    "OneByOne",
    "Parameters",
    "Runner",
    "fit_kind",
    "install_command",
    "installed_version",
    "kinds",
    "load_runner",
    "objective_of",
    "runner_class",
]


def kinds() -> list[str]:
    """The kinds of runner that there are."""
    return [*BUILT_IN, *(name for name in _others() if name not in BUILT_IN)]


def runner_class(kind: str) -> type[Runner]:
    """The class of a kind of runner.

    Raises
    ------
    ConfigError
        For a kind that there is not, or one that cannot be imported.
    """
    if kind in BUILT_IN:
        module, name = BUILT_IN[kind]
        found: type[Runner] = getattr(import_module(module), name)
        return found
    others = _others()
    if kind not in others:
        raise ConfigError(f"there is no runner {kind!r}; there are {', '.join(kinds())}")
    try:
        loaded: type[Runner] = others[kind].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the runner {kind!r}, {others[kind].value}, cannot be imported: {error}") from error
    return loaded


def install_command(kind: str) -> str:
    """The command that installs what a kind of runner needs."""
    extra = f"tabular-bento[{EXTRAS.get(kind, kind)}]"
    return pip_install_command(extra if kind in BUILT_IN else runner_class(kind).distribution)


def fit_kind(kind: str, data: FittingData, parameters: Parameters, task: Task, seed: int) -> Runner:
    """Fit a runner of a kind, see `Runner.fit`.

    Raises
    ------
    ConfigError
        As of `runner_class`.
    TrainingError
        As of `Runner.fit`, and for a library that is not installed.
    """
    try:
        return runner_class(kind).fit(data, parameters, task, seed)
    except ImportError as error:
        raise TrainingError(
            f"The runner {kind!r} needs {error.name}, which is not installed: {install_command(kind)}"
        ) from error


def load_runner(kind: str, directory: Path) -> Runner:
    """The runner stored in a folder; its library is imported only here.

    Raises
    ------
    PackageError
        For a kind that there is not, a library that is not installed, or a file that cannot be read.
    """
    try:
        found = runner_class(kind)
    except ConfigError:
        raise PackageError(
            f"The package wants the runner {kind!r}, and there are {', '.join(kinds())}: install the distribution that "
            f"provides it by the entry point {GROUP}."
        ) from None
    try:
        return found.load(directory)
    except ImportError as error:
        raise PackageError(
            f"The package's runner {kind!r} needs {error.name}, which is not installed: {install_command(kind)}"
        ) from error
    except PackageError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()
        file = getattr(found, "file", "")
        raise PackageError(
            f"{directory / file} cannot be read ({reason[0] if reason else type(error).__name__}): "
            "train the model again, or restore the package from a copy."
        ) from error


def installed_version(distribution: str) -> str | None:
    """The version of an installed distribution, None where it is not; `X-cpu` may be installed as `X`."""
    for name in (distribution, distribution.removesuffix("-cpu")):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def _others() -> dict[str, EntryPoint]:
    found: Any = entry_points(group=GROUP)
    return {entry.name: entry for entry in found}
