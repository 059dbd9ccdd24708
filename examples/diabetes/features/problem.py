"""The problem: how far diabetes has progressed a year after these measurements."""

from tabular_bento import Field, Kind, Problem, Regression
from tabular_bento.features import FeatureSet

SERUM = {
    "tc": "Total serum cholesterol",
    "ldl": "Low-density lipoproteins",
    "hdl": "High-density lipoproteins",
    "tch": "Total cholesterol over HDL",
    "ltg": "Logarithm of serum triglycerides",
    "glu": "Blood sugar",
}

FIELDS = (
    Field("age", Kind.NUMBER, "Age", unit="years", minimum=0, maximum=120),
    Field("sex", Kind.INTEGER, "Sex, as the study coded it", minimum=1, maximum=2),
    Field("bmi", Kind.NUMBER, "Body mass index", unit="kg/m2", minimum=10, maximum=80),
    Field("bp", Kind.NUMBER, "Mean blood pressure", unit="mmHg", minimum=30, maximum=200),
    *(Field(name, Kind.NUMBER, text, minimum=0, maximum=1000, optional=True) for name, text in SERUM.items()),
)

PROBLEM = Problem(
    name="diabetes",
    rows="patients",
    fields=FIELDS,
    task=Regression(Field("progression", Kind.NUMBER, "Progression after a year", minimum=0, maximum=1000)),
    features=FeatureSet.of_fields(FIELDS),
    example={"age": 59.0, "sex": 2, "bmi": 32.1, "bp": 101.0, "tc": 157.0, "ldl": 93.2, "hdl": 38.0, "glu": 87.0},
)
