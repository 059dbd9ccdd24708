"""The data: 344 penguins of Palmer Archipelago (Gorman, Williams and Fraser, PLOS ONE 2014), from `palmerpenguins`."""

from features.problem import PROBLEM
from tabular_bento.data import TableSource

SOURCE = TableSource(
    PROBLEM,
    "package://palmerpenguins/data/penguins.csv",
    columns={
        "bill_length": "bill_length_mm",
        "bill_depth": "bill_depth_mm",
        "flipper_length": "flipper_length_mm",
        "body_mass": "body_mass_g",
    },
    description="penguins of three species on three islands",
)
