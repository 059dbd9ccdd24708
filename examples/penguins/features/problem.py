"""The problem: of which species is a penguin with these measurements?"""

from tabular_bento import Field, Kind, Multiclass, Problem
from tabular_bento.features import FeatureSet, target_means

MEASURES = (
    Field("bill_length", Kind.NUMBER, "Length of the bill", unit="mm", minimum=10, maximum=100, optional=True),
    Field("bill_depth", Kind.NUMBER, "Depth of the bill", unit="mm", minimum=5, maximum=50, optional=True),
    Field("flipper_length", Kind.NUMBER, "Length of a flipper", unit="mm", minimum=100, maximum=400, optional=True),
    Field("body_mass", Kind.NUMBER, "Body mass", unit="g", minimum=1000, maximum=10_000, optional=True),
)

FIELDS = (
    Field("island", Kind.TEXT, "Island of the colony", min_length=1, max_length=40),
    *MEASURES,
    Field("sex", Kind.TEXT, "Sex, from a blood sample", min_length=1, max_length=10, optional=True),
)

SPECIES = ("Adelie", "Chinstrap", "Gentoo")

PROBLEM = Problem(
    name="penguins",
    rows="penguins",
    fields=FIELDS,
    task=Multiclass(Field("species", Kind.TEXT, "Species"), classes=SPECIES),
    features=FeatureSet.of_fields(FIELDS) + target_means(("island",), classes=len(SPECIES)),
    baseline=tuple(f"island_share_{number}" for number in range(len(SPECIES))),
    segments=("island",),
    example={
        "island": "Dream",
        "bill_length": 46.5,
        "bill_depth": 17.9,
        "flipper_length": 192.0,
        "body_mass": 3500.0,
        "sex": "female",
    },
)
