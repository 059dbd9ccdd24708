"""The problem: is a penguin with these measurements female or male? The Pipeline's columns are its fields."""

from tabular_bento import Binary, Field, Kind, Problem

FIELDS = (
    Field("species", Kind.TEXT, "Species", min_length=1, max_length=20),
    Field("island", Kind.TEXT, "Island of the colony", min_length=1, max_length=40),
    Field("bill_length_mm", Kind.NUMBER, "Length of the bill", unit="mm", minimum=10, maximum=100, optional=True),
    Field("bill_depth_mm", Kind.NUMBER, "Depth of the bill", unit="mm", minimum=5, maximum=50, optional=True),
    Field("flipper_length_mm", Kind.NUMBER, "Length of a flipper", unit="mm", minimum=100, maximum=400, optional=True),
    Field("body_mass_g", Kind.NUMBER, "Body mass", unit="g", minimum=1000, maximum=10_000, optional=True),
)

PROBLEM = Problem(
    name="penguin-sex",
    rows="penguins",
    fields=FIELDS,
    task=Binary(Field("sex", Kind.TEXT, "Sex"), classes=("female", "male")),
    segments=("species",),
    example={
        "species": "Chinstrap",
        "island": "Dream",
        "bill_length_mm": 46.5,
        "bill_depth_mm": 17.9,
        "flipper_length_mm": 192.0,
        "body_mass_g": 3500.0,
    },
)
