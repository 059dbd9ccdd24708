"""What `tabular-bento train --tune` says and writes of its search."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabular_bento.cli.common import WRONG_ARGUMENTS, fail, on_a_terminal
from tabular_bento.evaluation.evaluators import metric_title
from tabular_bento.training.tuning import Gain, Tuning, compare, tune

if TYPE_CHECKING:
    from tabular_bento.data import Dataset
    from tabular_bento.problem import Problem
    from tabular_bento.project import Project
    from tabular_bento.training.config import TrainingConfig
    from tabular_bento.training.pipeline import TrainedModel


class Search:
    """A search for better parameters: what it found, and what that gained."""

    def __init__(self, tuning: Tuning, before: TrainingConfig, file: Path) -> None:
        self.tuning = tuning
        self.settings = tuning.config(before)
        self.file = file
        self._before = before
        self._gain: Gain | None = None

    @classmethod
    def run(
        cls,
        here: Project,
        problem: Problem,
        dataset: Dataset,
        settings: TrainingConfig,
        trials: int,
        progress: Callable[[str], None],
        file: Path | None,
    ) -> Search:
        """Search, and write what was found; parameters as of `tune`, and the file to write."""
        folder = here.root / "var" / "tune"
        with closing(Trials(trials)) as bar:
            tuning = tune(problem, dataset, settings, trials, folder, progress, bar)
        file = file or folder / "tuned.toml"
        found = cls(tuning, settings, file)
        head = (
            f"The best of {tuning.trials} trials of {tuning.runner} for {problem.name}.\n"
            f"Use it with: tabular-bento train --config {file}"
        )
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(tuning.to_toml(head), encoding="utf-8")
        except OSError as error:
            raise fail(f"--tuned {file} cannot be written: {error}", WRONG_ARGUMENTS) from error
        return found

    def measure(self, model: TrainedModel, progress: Callable[[str], None]) -> None:
        """Measure what was gained, where something was changed."""
        if self.tuning.changed:
            self._gain = compare(model.problem, model.dataset, self._before, model, progress)

    def report(self) -> str:
        """What was found, in words."""
        tuning, gain = self.tuning, self._gain
        trials = f"{tuning.trials} trials of {tuning.runner}, {tuning.new_trials} of them now"
        if gain is None:
            return f"tuning: {trials}; none does better than the project's own parameters ({self.file})"
        low, high = gain.interval
        return (
            f"tuning: {trials}; {metric_title(gain.metric)} of the test part {gain.before:.4g} -> {gain.after:.4g}, a "
            f"difference of {gain.after - gain.before:+.3g} (95 % interval {low:+.3g} to {high:+.3g})\n"
            f"tuning: the parameters are in {self.file}; train with them by --config {self.file}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        gain = None if self._gain is None else self._gain.to_dict()
        return {**vars(self.tuning), "file": str(self.file), "gain": gain}


class Trials:
    """A bar of trials on a terminal, nothing elsewhere."""

    def __init__(self, trials: int) -> None:
        self._bar: Any = None
        if on_a_terminal():
            from tqdm import tqdm

            self._bar = tqdm(total=trials, desc="trials", unit="trial")

    def __call__(self, done: int) -> None:
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
