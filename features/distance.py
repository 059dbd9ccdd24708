"""The great-circle distance between two airports, a look-up of this project's own."""

from __future__ import annotations

import numpy as np

from tabular_bento.features import Fitting, GroupTable, Key, by_code

EARTH_RADIUS_MILES = 3958.8
DECIMALS = 6


class Distance(GroupTable):
    """Haversine distance in miles, by the origins of the fitting rows and the airports of the table.

    It is rounded to a millionth of a mile: the last bits of NumPy's sines depend on the processor, and those of a model
    must not.
    """

    def __init__(self) -> None:
        super().__init__(("origin", Key("dest", "airports", "faa")))

    def fit(self, rows: Fitting) -> None:
        """Nothing: it depends on the table alone."""

    def merge(self, one: None, other: None) -> None:
        """Nothing."""

    def finish(self, total: None, fit: Fitting) -> None:  # noqa: ARG002
        latitude, longitude = (np.radians(by_code(fit, "airports", "faa", column)) for column in ("lat", "lon"))
        codes = fit.state.vocabularies["airports.faa"]
        start = np.array([0, *map(codes.code, fit.state.vocabularies["origin"].values)])
        lat, lon = latitude[start][:, None], longitude[start][:, None]
        half = np.sin((latitude - lat) / 2) ** 2 + np.cos(lat) * np.cos(latitude) * np.sin((longitude - lon) / 2) ** 2
        fit.state.tables[self.name] = np.round(2 * EARTH_RADIUS_MILES * np.arcsin(np.sqrt(half)), DECIMALS).ravel()
