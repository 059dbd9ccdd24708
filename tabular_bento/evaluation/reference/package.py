"""What a window is compared with: the profile and the reference rows of the package that made its predictions."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tabular_bento.errors import PackageError, PackageReferenceError
from tabular_bento.evaluation.reference.bins import Bins, Counts
from tabular_bento.evaluation.reference.estimators import Estimator, read_estimator
from tabular_bento.evaluation.reference.thresholds import ErrorSpread, Thresholds
from tabular_bento.evaluation.reference.vocabulary import Vocabulary
from tabular_bento.problem import Declaration
from tabular_bento.schema import Kind
from tabular_bento.scoring.manifest import verify_manifest
from tabular_bento.scoring.package import PROFILE_FILE, REFERENCE_FILE, read_declaration
from tabular_bento.scoring.store import find_model
from tabular_bento.traffic.schema import LABEL, feature_column, input_column, output_column

Role = Literal["feature", "input", "prediction", "segment", "label"]


@dataclass(frozen=True)
class ReferenceColumn:
    """One monitored column.

    Parameters
    ----------
    name, log_name : str
        Its name in reports, and in the log.
    role : Role
        `input` is of a problem without features, or the offset where no feature has its name.
    kind : Kind
        What the log declares it as.
    unit : str
        Unit of its values, in words; empty where there is none.
    bins : Bins
        The bins of its values.
    counts : ndarray of shape [bins]
        Rows of the reference.
    thresholds : Thresholds
        How far a window may stray.
    importance : float
        Weight among the features, or inputs.
    """

    name: str
    log_name: str
    role: Role
    kind: Kind
    unit: str
    bins: Bins
    counts: Counts
    thresholds: Thresholds
    importance: float = 0.0

    @property
    def rows(self) -> int:
        """Rows of the reference."""
        return int(self.counts.sum())


@dataclass(frozen=True)
class Reference:
    """The reference of one model.

    Parameters
    ----------
    model : str, optional
        Its tag; None of rows that name no model.
    declaration : Declaration, optional
        Of the problem that it was made for; None of rows that name no model.
    columns : tuple of ReferenceColumn
        The columns that are logged.
    rows : Table
        A sample of its training rows as the log would hold them.
    label : ReferenceColumn, optional
        The labels.
    min_rows : int
        The fewest rows that the thresholds are for.
    day_hours : float
        Over how many hours of the day the rows of a day are spread at the least.
    naive_baseline : float or list of float, optional
        What the naive baseline predicts where the problem has no offset: a mean, or the share of each class.
    error : dict
        The model's error on rows that it was not trained on.
    vocabularies : dict
        The vocabularies of fields of categories, by name.
    error_model : Estimator, optional
        What metrics to expect without labels.
    """

    model: str | None
    declaration: Declaration | None
    columns: tuple[ReferenceColumn, ...]
    rows: pa.Table
    label: ReferenceColumn | None = None
    min_rows: int = 0
    day_hours: float = 0.0
    naive_baseline: Any = None
    error: dict[str, Any] = field(default_factory=dict)
    vocabularies: dict[str, Vocabulary] = field(default_factory=dict)
    error_model: Estimator | None = None

    @property
    def error_spread(self) -> ErrorSpread | None:
        """The error of rows that the model had not seen; None in a package that is older than this."""
        return ErrorSpread.from_profile(self.error)

    @classmethod
    def none(cls) -> Reference:
        """The reference of rows that name no model: there is nothing to compare with."""
        return cls(None, None, (), pa.table({}))

    @classmethod
    def of(cls, tag: str | None, declaration: Declaration, profile: dict[str, Any], rows: pa.Table) -> Reference:
        """The reference that a profile describes.

        Raises
        ------
        KeyError, TypeError, ValueError
            Where it is no whole profile of a package of this declaration.
        """
        columns = {column.log_name: column for column in _columns(declaration, profile)}
        label, calibration = columns.pop(LABEL, None), profile["calibration"]
        return cls(
            tag,
            declaration,
            tuple(columns.values()),
            rows,
            label,
            int(calibration["rows"][0]),
            float(calibration["day_hours"]),
            profile.get("naive_baseline"),
            profile.get("error", {}),
            {
                name: Vocabulary(frozenset(known["values"]), float(known["empty"]))
                for name, known in profile.get("vocabularies", {}).items()
            },
        )

    def usual_ratio(self, days: float) -> float:
        """The ratio to the naive baseline's RMSE that windows of training, spanning as many days, stayed below."""
        if not self.error.get("usual_ratio"):
            return 0.0
        return float(np.interp(np.log(max(days, 1.0)), np.log(self.error["days"]), self.error["usual_ratio"]))

    @classmethod
    def load(cls, tag: str) -> Reference:
        """The reference of model `tag`, or of the champion, in the model store.

        Raises
        ------
        PackageReferenceError
            Where it cannot be used.
        """
        try:
            model = find_model(tag)
        except PackageError as error:
            raise PackageReferenceError(str(error)) from error
        return cls.read(model.directory, model.tag)

    @classmethod
    def read(cls, directory: Path, tag: str) -> Reference:
        """The reference of the package in `directory`.

        Raises
        ------
        PackageReferenceError
            Where it cannot be used.
        """
        try:
            verify_manifest(directory)
            declaration = read_declaration(directory)
            profile = json.loads((directory / PROFILE_FILE).read_text(encoding="utf-8"))
            rows = pq.read_table(directory / REFERENCE_FILE)
            found = cls.of(tag, declaration, profile, rows)
            return replace(found, error_model=read_estimator(directory, profile.get("error", {}), declaration))
        except PackageError as error:
            raise PackageReferenceError(str(error)) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PackageReferenceError(
                f"{tag}: its profile cannot be used ({error!r}): train the model again."
            ) from error


def _columns(declaration: Declaration, profile: dict[str, Any]) -> list[ReferenceColumn]:
    declared = _declared(declaration)
    logged = [name for name in profile["columns"] if name in declared]
    short = {name: name.partition(".")[2] or name for name in logged}
    several = {name for name, count in Counter(short.values()).items() if count > 1}
    found = []
    for log_name in logged:
        column, (role, kind, unit) = profile["columns"][log_name], declared[log_name]
        found.append(
            ReferenceColumn(
                log_name if short[log_name] in several else short[log_name],
                log_name,
                role,
                kind,
                unit,
                Bins(column),
                np.array(column["counts"], dtype=np.int64),
                Thresholds.from_profile(profile["calibration"], log_name),
                column.get("importance", 0.0),
            )
        )
    return found


def _declared(declaration: Declaration) -> dict[str, tuple[Role, Kind, str]]:
    """Role, kind and unit of each column that may be monitored, by its name in the log."""
    found: dict[str, tuple[Role, Kind, str]] = {}
    for item in declaration.fields:
        role: Role = "segment" if declaration.features and item.name != declaration.offset else "input"
        found[input_column(item.name)] = (role, item.kind, item.unit or "")
    for feature in declaration.features:
        found[feature_column(feature.name)] = ("feature", Kind.NUMBER, "" if feature.unit == "code" else feature.unit)
    for output in declaration.outputs:
        kind = Kind.NUMBER if output.parts else output.kind
        found |= {output_column(name): ("prediction", kind, output.unit or "") for name in output.columns}
    target = declaration.target
    found[LABEL] = ("label", Kind.TEXT if target.kind is Kind.TEXT else Kind.NUMBER, target.unit or "")
    return found
