"""The Data layer: sources, the contracts of their tables, data sets and their splits."""

from tabular_bento.data.dataset import Dataset
from tabular_bento.data.sources import FunctionSource, Source, TableSource
from tabular_bento.data.splits import PARTS, Split, month_range

__all__ = ["PARTS", "Dataset", "FunctionSource", "Source", "Split", "TableSource", "month_range"]
