"""A project as the checks see it: its rows, and a small model that its own training made of some of them."""

from __future__ import annotations

import random
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from tabular_bento.data import Dataset
from tabular_bento.features.columns import Row, rows_of
from tabular_bento.problem import Problem
from tabular_bento.project import Project
from tabular_bento.protocol.values import TIMES
from tabular_bento.schema import Field, Kind
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.runners import Runner
from tabular_bento.training import TrainedModel, TrainingConfig, load_config, train

ROWS = 3_000
"""Rows that the small model is made of, at most."""

CHECKED_ROWS = 40
"""Rows of the source that are predicted in many ways."""

_SHARE_AT_AN_EDGE = 1 / 3
_UNSEEN = "?"

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
    fitted : Runner, optional
        A runner that was fitted elsewhere, such as that of an imported Pipeline: the model is of this one.
    """

    problem: Problem
    dataset: Dataset
    config: TrainingConfig
    fitted: Runner | None = None

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
        """Rows as a server holds them: some of the source, then as many in which every third value is at an edge."""
        sample, fields = self.sample, self.problem.fields
        places = np.linspace(0, len(sample) - 1, min(CHECKED_ROWS, len(sample))).astype(np.int64)
        rows = rows_of(sample.where(places).columns, self.problem.field_names)
        draw = random.Random(0)  # noqa: S311
        edges = [extremes(item) for item in fields]
        return rows + [
            tuple(
                draw.choice(edge) if draw.random() < _SHARE_AT_AN_EDGE else value
                for value, edge in zip(row, edges, strict=True)
            )
            for row in rows
        ]

    @cached_property
    def model(self) -> TrainedModel:
        """The small model."""
        return train(self.problem, self.sample, self.config, fitted=self.fitted)

    @cached_property
    def _folder(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="tabular-bento-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    @cached_property
    def package(self) -> ModelPackage:
        """The small model as it is saved and loaded by a server, in a temporary folder."""
        from tabular_bento.training.publishing import write_package

        folder = self._folder
        write_package(folder, self.model)
        write_manifest(folder)
        return ModelPackage.load(folder, f"{self.problem.name}:test", self.problem)


def extremes(item: Field) -> list[Any]:
    """Values at the edge of what a field allows."""
    found: list[Any] = [item.missing] if item.optional else []
    match item.kind:
        case Kind.TEXT:
            length = max(item.min_length or 0, min(item.max_length or 1, 1))
            found += [_UNSEEN * length, "é" * (item.max_length or 32)]
        case Kind.INTEGER | Kind.NUMBER:
            found += [bound for bound in (item.minimum, item.maximum) if bound is not None] or [0, -(10**9), 10**9]
        case Kind.BOOLEAN:
            found += [0, 1]
        case _:
            form = TIMES[item.kind]
            found += [form.earliest, form.latest]
    whole = item.kind in (Kind.INTEGER, Kind.NUMBER)
    return [float(value) if whole and item.dtype.kind == "f" else value for value in found]
