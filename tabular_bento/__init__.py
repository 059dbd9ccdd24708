"""Takes a tabular model from data to monitored production.

A `Problem` declares what is predicted and from what. Request schemas, endpoints, the traffic log, drift reports, the
comparison of models and deployment follow from it.
"""

from tabular_bento.problem import Declaration, Problem
from tabular_bento.schema import Field, Kind
from tabular_bento.tasks import Binary, Multiclass, Regression

__version__ = "0.1.0"

__all__ = ["Binary", "Declaration", "Field", "Kind", "Multiclass", "Problem", "Regression", "__version__"]
