"""What a window is compared with: the profile and the reference rows of the package that made its predictions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.definition import TARGET
from features.functions import FEATURE_NAMES
from tabular_bento.errors import PackageError, PackageReferenceError
from tabular_bento.evaluation.reference.bins import Bins, Counts
from tabular_bento.evaluation.reference.estimate import ErrorModel
from tabular_bento.evaluation.reference.profile import OUTCOME
from tabular_bento.evaluation.reference.thresholds import Thresholds
from tabular_bento.monitoring.drift.result import Role
from tabular_bento.scoring.manifest import verify_manifest
from tabular_bento.scoring.package import PROFILE_FILE, REFERENCE_FILE
from tabular_bento.traffic.log import FEATURE_PREFIX

if TYPE_CHECKING:
    import bentoml

_ROLES: dict[str, Role] = {TARGET.name: "prediction", OUTCOME: "outcome"}


@dataclass(frozen=True)
class ReferenceColumn:
    """One monitored column: its name in reports and in the log, its role, its bins and their counts, its limits."""

    name: str
    log_name: str
    role: Role
    kind: str
    bins: Bins
    counts: Counts
    thresholds: Thresholds
    importance: float = 0.0

    @property
    def rows(self) -> int:
        return int(self.counts.sum())

    @classmethod
    def of(cls, name: str, profile: dict[str, Any]) -> ReferenceColumn:
        """The column `name` of a package's profile. Raises KeyError where it has no counts or no calibration."""
        column, is_feature = profile["columns"][name], name in FEATURE_NAMES
        return cls(
            name,
            FEATURE_PREFIX + name if is_feature else name,
            "feature" if is_feature else _ROLES.get(name, "segment"),
            column["kind"],
            Bins(column),
            np.array(column["counts"], dtype=np.int64),
            Thresholds.from_profile(profile["calibration"], name),
            column.get("importance", 0.0),
        )


@dataclass(frozen=True)
class Reference:
    """The reference of one model: the columns that are logged, and `outcome`, what came true of them, which is not.

    `rows` is a sample of its training rows as the log would hold them, `min_rows` the fewest that the thresholds are
    for, `day_hours` over how many hours of the day the rows of a day are spread at the least, and `error` the model's
    error on months that it was not trained on. `vocabularies` are the values of fields of categories, by name.
    """

    model: str | None
    columns: tuple[ReferenceColumn, ...]
    rows: pa.Table
    outcome: ReferenceColumn | None = None
    min_rows: int = 0
    day_hours: float = 0.0
    error: dict[str, Any] = field(default_factory=dict)
    vocabularies: dict[str, frozenset[str]] = field(default_factory=dict)
    error_model: ErrorModel | None = None

    @classmethod
    def none(cls) -> Reference:
        """The reference of rows that name no model: there is nothing to compare with."""
        return cls(None, (), pa.table({}))

    @classmethod
    def of(cls, tag: str | None, profile: dict[str, Any], rows: pa.Table) -> Reference:
        """The reference that a profile describes. Raises KeyError where it is no whole profile."""
        columns = {name: ReferenceColumn.of(name, profile) for name in profile["columns"]}
        outcome, calibration = columns.pop(OUTCOME, None), profile["calibration"]
        return cls(
            tag,
            tuple(columns.values()),
            rows,
            outcome,
            int(calibration["rows"][0]),
            float(calibration["day_hours"]),
            profile.get("error", {}),
            {name: frozenset(values) for name, values in profile.get("vocabularies", {}).items()},
        )

    def usual_ratio(self, days: float) -> float:
        """The ratio to zero gain's RMSE that windows of the training months, spanning as many days, stayed below."""
        if "usual_ratio" not in self.error:
            return 0.0
        return float(np.interp(np.log(max(days, 1.0)), np.log(self.error["days"]), self.error["usual_ratio"]))

    @classmethod
    def load(cls, tag: str) -> Reference:
        """The reference of model `tag` in the BentoML store. Raises PackageReferenceError where it cannot be used."""
        model = stored_model(tag)
        return cls.read(Path(model.path), str(model.tag))

    @classmethod
    def read(cls, directory: Path, tag: str) -> Reference:
        """The reference of the package in `directory`. Raises PackageReferenceError where it cannot be used."""
        try:
            verify_manifest(directory)
            profile = json.loads((directory / PROFILE_FILE).read_text())
            rows = pq.read_table(directory / REFERENCE_FILE)
            return replace(cls.of(tag, profile, rows), error_model=ErrorModel.read(directory, profile["error"]))
        except PackageError as error:
            raise PackageReferenceError(str(error)) from error
        except (OSError, ValueError, KeyError) as error:
            raise PackageReferenceError(
                f"{tag}: its profile cannot be used ({error!r}): train the model again."
            ) from error


def stored_model(tag: str) -> bentoml.Model:
    """The entry of model `tag`, or of the champion, in the BentoML store.

    Raises PackageReferenceError where there is none.
    """
    import bentoml
    from bentoml.exceptions import BentoMLException

    from tabular_bento.serving.bento import tag_of

    try:
        return bentoml.models.get(tag_of(tag))
    except PackageError as error:
        raise PackageReferenceError(str(error)) from error
    except (BentoMLException, ValueError) as error:
        raise PackageReferenceError(
            f"The model {tag} is not in the BentoML store ({error}): run this where the model was trained, or "
            "import it with `bentoml models import`."
        ) from error
