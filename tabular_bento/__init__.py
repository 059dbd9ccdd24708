"""Takes a tabular model from data to monitored production.

A `Problem` declares what is predicted and from what. Request schemas, endpoints, the traffic log, drift reports, the
comparison of models and deployment follow from it.

Everything that most programs need can be imported from here; training, serving, sources and the client are imported
when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tabular_bento.problem import Declaration, Problem
from tabular_bento.schema import Field, Kind
from tabular_bento.tasks import Binary, Multiclass, Regression

if TYPE_CHECKING:
    from tabular_bento.client import Client
    from tabular_bento.data import SQLSource, TableSource
    from tabular_bento.features import FeatureSet
    from tabular_bento.serving.local import serve
    from tabular_bento.training import load_config, publish, train

__version__ = "0.1.0"

__all__ = [
    "Binary",
    "Client",
    "Declaration",
    "FeatureSet",
    "Field",
    "Kind",
    "Multiclass",
    "Problem",
    "Regression",
    "SQLSource",
    "TableSource",
    "__version__",
    "load_config",
    "publish",
    "serve",
    "train",
]

_MODULES = {
    "Client": "client",
    "FeatureSet": "features",
    "SQLSource": "data",
    "TableSource": "data",
    "load_config": "training",
    "publish": "training",
    "serve": "serving.local",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
