"""A project as the checks see it: its rows, and a small model that its own training made of some of them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from tabular_bento.data import Dataset
from tabular_bento.features.columns import Row, rows_of
from tabular_bento.problem import Problem
from tabular_bento.project import Project
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.training import TrainedModel, TrainingConfig, load_config, train

ROWS = 3_000
"""Rows that the small model is made of, at most."""

CHECKED_ROWS = 40
"""Rows that are predicted in many ways."""

_FEW_TREES = {"rounds": 15, "max_iter": 15, "n_estimators": 15}
_FEWEST_RESAMPLES = 100


@dataclass(frozen=True)
class ProjectUnderTest:
    """A project with its rows and a small model of them.

    Parameters
    ----------
    problem : Problem
        What is predicted.
    dataset : Dataset
        All rows of the source.
    config : TrainingConfig
        How the small model is trained: by the project's settings, with few trees and without a gate.
    """

    problem: Problem
    dataset: Dataset
    config: TrainingConfig

    @classmethod
    def here(cls, start: Path | None = None) -> Self:
        """The project of a folder, by default that of the working folder.

        Parameters
        ----------
        start : Path, optional
            A folder of the project, or below it.

        Raises
        ------
        ProjectError
            Where there is none.
        DataError
            Where its source cannot be read.
        """
        project = Project.find(start)
        problem = project.load_problem()
        config = load_config(*([project.training] if project.training else []), problem=problem)
        return cls.of(problem, project.load_source().load(config.source), config)

    @classmethod
    def of(cls, problem: Problem, dataset: Dataset, config: TrainingConfig | None = None) -> Self:
        """A project by its parts.

        Parameters
        ----------
        problem : Problem
            What is predicted.
        dataset : Dataset
            Rows with their labels.
        config : TrainingConfig, optional
            The settings of its training, which are changed to make a small model.
        """
        config = config or TrainingConfig()
        parameters = dict(config.parameters)
        for kind in config.candidates:
            known = type(config.parameters_of(kind)).model_fields
            few = {name: value for name, value in _FEW_TREES.items() if name in known}
            parameters[kind] = {**config.parameters.get(kind, {}), **few}
        changed = {"parameters": parameters, "gate": {}, "report": False, "resamples": _FEWEST_RESAMPLES}
        return cls(problem, dataset, config.model_copy(update=changed))

    @cached_property
    def sample(self) -> Dataset:
        """Rows with a label, drawn evenly over all, in their order."""
        labelled = np.flatnonzero(self.dataset.labelled)
        assert len(labelled), "no row of the source has a label, so there is nothing to train on"
        places = np.linspace(0, len(labelled) - 1, min(ROWS, len(labelled))).astype(np.int64)
        return self.dataset.where(labelled[places])

    @cached_property
    def rows(self) -> list[Row]:
        """Some rows, as a server holds them."""
        sample = self.sample
        places = np.linspace(0, len(sample) - 1, min(CHECKED_ROWS, len(sample))).astype(np.int64)
        return rows_of(sample.where(places).columns, self.problem.field_names)

    @cached_property
    def model(self) -> TrainedModel:
        """The small model."""
        return train(self.problem, self.sample, self.config)

    @cached_property
    def _folder(self) -> Any:
        return tempfile.TemporaryDirectory(prefix="tabular-bento-")

    @cached_property
    def package(self) -> ModelPackage:
        """The small model as it is saved and loaded by a server, in a temporary folder."""
        from tabular_bento.training.publishing import write_package

        folder = Path(self._folder.name)
        write_package(folder, self.model)
        write_manifest(folder)
        return ModelPackage.load(folder, f"{self.problem.name}:test", self.problem)
