"""The data: the penguins that the Pipeline was not fitted on (Gorman, Williams and Fraser, PLOS ONE 2014)."""

from importlib.resources import files
from typing import Any

import pyarrow as pa
from pyarrow import csv

from features.problem import PROBLEM
from tabular_bento.data import FunctionSource


def penguins() -> Any:
    """Every second nest, of two rows each; `elsewhere/fit.py` has the others."""
    options = csv.ConvertOptions(null_values=["NA"], strings_can_be_null=True)
    table = csv.read_csv(str(files("palmerpenguins") / "data" / "penguins.csv"), convert_options=options)
    return table.take(pa.array([row for row in range(table.num_rows) if row % 4 >= 2]))


SOURCE = FunctionSource(PROBLEM, penguins, description="penguins that the Pipeline has not seen")
