"""The Feature layer: features, the look-ups that they share, and the fitted extractor."""

from tabular_bento.features.columns import ColumnRows, Columns, Row
from tabular_bento.features.common import calendar, elapsed, target_means
from tabular_bento.features.declare import Derived, Feature, derived, feature
from tabular_bento.features.extractor import Extractor, FitData
from tabular_bento.features.feature_set import FeatureSet
from tabular_bento.features.fingerprint import ARITHMETIC_VERSION, code_fingerprint
from tabular_bento.features.lookups import (
    Fitting,
    GroupCount,
    GroupMean,
    GroupTable,
    Key,
    Lookup,
    LookupTable,
    Vocabulary,
    by_code,
)
from tabular_bento.features.state import Codes, State
from tabular_bento.features.zones import TimeZones

__all__ = [
    "ARITHMETIC_VERSION",
    "Codes",
    "ColumnRows",
    "Columns",
    "Derived",
    "Extractor",
    "Feature",
    "FeatureSet",
    "FitData",
    "Fitting",
    "GroupCount",
    "GroupMean",
    "GroupTable",
    "Key",
    "Lookup",
    "LookupTable",
    "Row",
    "State",
    "TimeZones",
    "Vocabulary",
    "by_code",
    "calendar",
    "code_fingerprint",
    "derived",
    "elapsed",
    "feature",
    "target_means",
]
