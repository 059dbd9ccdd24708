"""What a window is compared with: the profile and the reference rows of the package that made its predictions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.definition import TARGET
from features.functions import FEATURE_NAMES
from monitoring.bins import Bins, Counts
from monitoring.errors import PackageReferenceError
from monitoring.result import Role
from scoring.errors import PackageError
from scoring.manifest import verify_manifest
from scoring.package import PROFILE_FILE, REFERENCE_FILE
from scoring.traffic import FEATURE_PREFIX

OUTCOME = "outcome"
"""The column of reference.parquet that holds what came true."""


@dataclass(frozen=True)
class ReferenceColumn:
    """One monitored column: its name in reports and in the log, its role, and how the reference fills its bins."""

    name: str
    log_name: str
    role: Role
    kind: str
    bins: Bins
    counts: Counts
    importance: float = 1.0

    @property
    def rows(self) -> int:
        return int(self.counts.sum())

    @classmethod
    def from_profile(cls, name: str, profile: dict[str, Any], role: Role | None = None) -> ReferenceColumn:
        """The column of the profile's entry `name`. Raises KeyError where the entry has no counts."""
        is_feature = name in FEATURE_NAMES
        if role is None:
            role = "feature" if is_feature else "prediction" if name == TARGET.name else "segment"
        return cls(
            name,
            FEATURE_PREFIX + name if is_feature else name,
            role,
            profile["kind"],
            Bins(profile),
            np.array(profile["counts"], dtype=np.int64),
            profile.get("importance", 1.0),
        )


@dataclass(frozen=True)
class Reference:
    """The reference of one model. `rows` is a sample of its training rows as the log would hold them."""

    model: str | None
    columns: tuple[ReferenceColumn, ...]
    rows: pa.Table

    @classmethod
    def none(cls) -> Reference:
        """The reference of rows that name no model: there is nothing to compare with."""
        return cls(None, (), pa.table({}))

    @classmethod
    def load(cls, tag: str) -> Reference:
        """The reference of model `tag` in the BentoML store. Raises PackageReferenceError where it cannot be used."""
        import bentoml
        from bentoml.exceptions import BentoMLException

        try:
            model = bentoml.models.get(tag)
        except BentoMLException as error:
            raise PackageReferenceError(
                f"The model {tag} is not in the BentoML store ({error}): run this where the model was trained, or "
                "import it with `bentoml models import`."
            ) from error
        return cls.read(Path(model.path), str(model.tag))

    @classmethod
    def read(cls, directory: Path, tag: str) -> Reference:
        """The reference of the package in `directory`. Raises PackageReferenceError where it cannot be used."""
        try:
            verify_manifest(directory)
            profile = json.loads((directory / PROFILE_FILE).read_text())
            rows = pq.read_table(directory / REFERENCE_FILE)
            columns = tuple(ReferenceColumn.from_profile(*item) for item in profile["columns"].items())
        except PackageError as error:
            raise PackageReferenceError(str(error)) from error
        except (OSError, ValueError, KeyError) as error:
            raise PackageReferenceError(
                f"{tag}: its profile cannot be used ({error!r}): train the model again."
            ) from error
        return cls(tag, columns, rows)
