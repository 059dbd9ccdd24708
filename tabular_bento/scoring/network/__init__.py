"""Neural networks served by NumPy alone: a list of layers of known types, and their weights as plain arrays."""

from __future__ import annotations

from tabular_bento.scoring.network.graph import Network, NetworkInput
from tabular_bento.scoring.network.inputs import AnyInput, CodeInput, PlainInput, ScaledInput
from tabular_bento.scoring.network.keras_config import layers_of, network_of
from tabular_bento.scoring.network.layers import LAYERS, Layer

__all__ = [
    "LAYERS",
    "AnyInput",
    "CodeInput",
    "Layer",
    "Network",
    "NetworkInput",
    "PlainInput",
    "ScaledInput",
    "layers_of",
    "network_of",
]
