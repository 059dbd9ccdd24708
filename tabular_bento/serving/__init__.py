"""Serving: endpoints, adaptive batching, metrics, the shadow, and a service of BentoML made of a problem.

`application` serves without BentoML, which is imported with `ServiceSpec` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tabular_bento.serving.asgi import application
    from tabular_bento.serving.settings import ServingSettings
    from tabular_bento.serving.spec import ServiceSpec

__all__ = ["ServiceSpec", "ServingSettings", "application"]

_MODULES = {"ServiceSpec": "spec", "ServingSettings": "settings", "application": "asgi"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
