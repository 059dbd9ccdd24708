"""A training repeated from what its package says of it: the same settings on the same data."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tabular_bento import __version__
from tabular_bento.data.dataset import Dataset
from tabular_bento.data.snapshot import Snapshot
from tabular_bento.errors import ConfigError, PackageError, SnapshotError
from tabular_bento.problem import Problem
from tabular_bento.scoring.manifest import verify_manifest
from tabular_bento.scoring.package import PACKAGE_FILE, PROVENANCE_FILE
from tabular_bento.scoring.runners import installed_version
from tabular_bento.scoring.store import find_model
from tabular_bento.training.commit import commit_of
from tabular_bento.training.config import TrainingConfig


@dataclass(frozen=True)
class PastTraining:
    """What a package says of the training that made it.

    Parameters
    ----------
    tag : str
        The package's tag.
    fingerprint : str
        The package's fingerprint.
    config : TrainingConfig
        The settings.
    snapshot : Snapshot
        The data.
    package, provenance : dict
        Its documents of those names.
    """

    tag: str
    fingerprint: str
    config: TrainingConfig
    snapshot: Snapshot
    package: dict[str, Any]
    provenance: dict[str, Any]

    @classmethod
    def read(cls, tag: str, problem: Problem) -> PastTraining:
        """Read it from a package of the store.

        Parameters
        ----------
        tag : str
            `NAME:VERSION`, or a version of the problem's models alone.
        problem : Problem
            What is trained.

        Raises
        ------
        PackageError
            Where there is no such package, it is damaged, of another problem, or made before snapshots were kept.
        ConfigError
            Where this version does not know its settings.
        """
        found = find_model(tag if ":" in tag else f"{problem.name}:{tag}")
        fingerprint = verify_manifest(found.directory)
        package, provenance = (_document(found.directory / name) for name in (PACKAGE_FILE, PROVENANCE_FILE))
        name = package["declaration"]["name"]
        if name != problem.name:
            raise PackageError(f"{found.tag} is a model of {name!r}, and this project's problem is {problem.name!r}.")
        if "snapshot" not in provenance:
            raise PackageError(
                f"{found.tag} has no snapshot of its data: it was made by a version that kept none, so its training "
                "cannot be repeated. Train without --from-package."
            )
        if imported := provenance.get("imported"):
            raise PackageError(
                f"{found.tag} was not trained here, it was imported from {imported['file']}: import the file again."
            )
        try:
            config = TrainingConfig.model_validate(provenance["config"])
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigError(f"The settings of {found.tag} are not this version's: {where}: {first['msg']}") from None
        return cls(found.tag, fingerprint, config, Snapshot.from_dict(provenance["snapshot"]), package, provenance)

    def check_data(self, dataset: Dataset) -> None:
        """Compare a data set with the one that the package was trained on.

        Parameters
        ----------
        dataset : Dataset
            The data as they are read now, not split yet.

        Raises
        ------
        SnapshotError
            Listing what differs.
        DataError
            Where the split of the package leaves a part without rows.
        """
        differences = self.snapshot.differences(Snapshot.of(dataset.split(self.config.split)))
        if differences:
            raise SnapshotError(
                f"The data are not those that {self.tag} was trained on:\n"
                + "\n".join(f"- {difference}" for difference in differences)
            )

    def notes(self, problem: Problem, folder: Path | None = None) -> list[str]:
        """What else than the data differs from that training, and may make another model of the same rows.

        Parameters
        ----------
        problem : Problem
            As this code declares it.
        folder : Path, optional
            The project, whose commit is compared.
        """
        libraries: dict[str, Any] = self.provenance["libraries"]
        code = [
            (
                "the declaration of the problem",
                self.package["declaration_fingerprint"],
                problem.declaration.fingerprint,
            ),
            ("the feature code", self.package["code_fingerprint"], problem.code_fingerprint),
        ]
        found = [f"{what} has changed" for what, then, is_now in code if then != is_now]
        versions: list[tuple[str, Any, Any]] = [("Python", self.provenance["python"], platform.python_version())]
        versions += [
            (name, version, __version__ if name == "tabular-bento" else installed_version(name))
            for name, version in libraries.items()
        ]
        versions.append(("the commit", self.provenance["commit"], commit_of(folder)))
        return found + [f"{what} is {is_now}, and was {then}" for what, then, is_now in versions if then != is_now]


def _document(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
