"""The Data layer: sources, the contracts of their tables, data sets and their splits."""

from tabular_bento.data.dataset import Dataset
from tabular_bento.data.sources import FunctionSource, Source, TableSource
from tabular_bento.data.splits import PARTS, Split, month_range
from tabular_bento.data.sql import SQLSource, read_query

__all__ = [
    "PARTS",
    "Dataset",
    "FunctionSource",
    "SQLSource",
    "Source",
    "Split",
    "TableSource",
    "month_range",
    "read_query",
]
