"""The data: 442 patients, a table that scikit-learn brings along (Efron and others, Least Angle Regression, 2004)."""

from features.problem import PROBLEM
from tabular_bento.data import FunctionSource


def load():
    """The table of scikit-learn, in the units that were measured."""
    from sklearn.datasets import load_diabetes

    table = load_diabetes(as_frame=True, scaled=False).frame
    table.columns = [*PROBLEM.field_names, PROBLEM.target.name]
    return table.astype({"sex": "int64"})


SOURCE = FunctionSource(PROBLEM, load, description="patients with diabetes")
