from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tabular_bento.errors import TableError
from tabular_bento.features import Codes, Extractor, FeatureSet, FitData, GroupMean, LookupTable, feature
from tabular_bento.features.columns import ColumnRows, RepeatedTexts, rows_of
from tests.unit.problems import FEATURES, FIELDS, PRICES, TABLES, fit_data


def fitted(*parts: FitData, **options: Any) -> Extractor:
    return Extractor.fit(FIELDS, FEATURES, parts, TABLES, **options)


def bits(matrix: np.ndarray[Any, Any]) -> Any:
    return matrix.view(np.uint32)


def cut(data: FitData, where: Any) -> FitData:
    return FitData(
        {name: values[where] for name, values in data.columns.items()},
        {name: values[where] for name, values in data.fit_columns.items()},
    )


def test_a_row_has_the_same_bits_alone_in_a_batch_and_in_another_order() -> None:
    data = fit_data()
    extractor = fitted(data)
    rows = rows_of(data.columns, PRICES.field_names)

    batch = extractor.transform(rows)
    alone = np.concatenate([extractor.transform([row]) for row in rows])
    backwards = extractor.transform(rows[::-1])[::-1]

    assert (bits(alone) == bits(batch)).all()
    assert (bits(backwards) == bits(batch)).all()
    assert (bits(extractor.transform(ColumnRows(data.columns, PRICES.field_names))) == bits(batch)).all()


def test_missing_and_unknown_values_give_nan_and_no_exception() -> None:
    extractor = fitted(fit_data())
    row = (None, 50.0, 1e5, np.nan, np.nan, np.nan, 1_500_000_000, np.nan)
    unknown = ("Nowhere", 50.0, 1e5, 150, 1, 0, 1_500_000_000, 1_500_000_000_000_000)

    for values in ([row], [unknown], [row, unknown] * 10):
        features = extractor.transform(values)
        assert features.shape == (len(values), len(FEATURES.names))
    named = dict(zip(FEATURES.names, extractor.transform([row])[0].tolist(), strict=True))
    assert named["city"] == 0
    assert np.isnan([named[name] for name in ("floor", "balcony", "age", "city_mean", "floor_mean", "people")]).all()
    assert np.isnan(dict(zip(FEATURES.names, extractor.transform([unknown])[0], strict=True))["floor_mean"])


def test_texts_by_their_distinct_values_give_the_same_bits() -> None:
    data = fit_data()
    extractor = fitted(data)
    cities = ["Ulm", "Bonn", "Nowhere"]
    indices = np.arange(200) % 3
    plain = {**data.columns, "city": np.array(cities, dtype=object)[indices]}
    repeated = {**data.columns, "city": RepeatedTexts(cities, indices)}

    assert (bits(extractor.transform_columns(plain)) == bits(extractor.transform_columns(repeated))).all()


def test_a_fit_merged_from_partitions_equals_the_fit_of_the_whole() -> None:
    data = fit_data(1000)
    whole = fitted(data)
    shuffled = np.random.default_rng(1).permutation(1000)
    merged = fitted(*(cut(data, shuffled[start : start + 137]) for start in range(0, 1000, 137)))

    assert merged.state.fingerprint == whole.state.fingerprint


def test_codes_of_a_fold_are_those_of_the_whole_and_a_key_it_lacks_has_nan() -> None:
    data = fit_data(1000)
    whole = fitted(data)
    without = cut(data, np.array([city != "Ulm" for city in data.columns["city"]]))
    fold = fitted(without, vocabularies=whole.state.vocabularies)

    ulm = ("Ulm", 50.0, 1e5, 1, 1, 0, 1_500_000_000, 1_500_000_000_000_000)
    of_whole, of_fold = (
        dict(zip(FEATURES.names, one.transform([ulm])[0].tolist(), strict=True)) for one in (whole, fold)
    )
    assert of_whole["city"] == of_fold["city"]
    assert not np.isnan(of_whole["city_mean"])
    assert np.isnan(of_fold["city_mean"])
    assert np.isnan(of_fold["city_count"])


def test_means_are_smoothed_towards_the_overall_mean() -> None:
    data = fit_data()
    state = fitted(data).state
    hours = data.columns["opened"] % 86_400 // 3600
    residual = data.fit_columns["residual"]
    chosen = (data.columns["city"] == "Bonn") & (hours == hours[0])
    expected = (residual[chosen].sum() + 2 * residual.mean()) / (chosen.sum() + 2)

    cell = state.vocabularies["city"].code("Bonn") * 24 + int(hours[0])
    assert state.tables["mean_by_city"][cell] == pytest.approx(expected, rel=1e-12)


def test_a_saved_state_is_read_to_the_same_features_and_bytes(tmp_path: Path) -> None:
    data = fit_data()
    extractor = fitted(data)
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    extractor.save(one)
    loaded = Extractor.load(FIELDS, FEATURES, one)
    loaded.save(other)

    assert loaded.state.fingerprint == extractor.state.fingerprint
    assert (bits(loaded.transform_columns(data.columns)) == bits(extractor.transform_columns(data.columns))).all()
    assert {p.name: p.read_bytes() for p in one.iterdir()} == {p.name: p.read_bytes() for p in other.iterdir()}


def test_a_look_up_on_what_the_source_lacks_says_what_it_has() -> None:
    data = fit_data()
    table = FeatureSet((), (LookupTable("towns", key="name", column="size", field="city").named("size"),))
    with pytest.raises(TableError, match=r"towns\.name, which the source does not provide; it has cities\.name"):
        Extractor.fit(FIELDS, table, [data], TABLES)
    mean = FeatureSet((), (GroupMean(of="rent", by=("city",)).named("rent_by_city"),))
    with pytest.raises(TableError, match="'rent', which is no field"):
        Extractor.fit(FIELDS, mean, [data])


def test_a_feature_of_an_unknown_name_says_so() -> None:
    @feature()
    def wrong(row: Any) -> Any:
        """Asks for what is not there."""
        return row.nothing

    extractor = Extractor.fit(FIELDS, FeatureSet((wrong,)), [fit_data()])
    with pytest.raises(AttributeError, match="'nothing' is neither a field"):
        extractor.transform([(None, 1.0, 1.0, 1, 1, 1, 1, 1)])


def test_codes_of_integers_are_the_same_alone_and_in_columns() -> None:
    codes = Codes([3, 1, 3.0, float("nan"), None, 7])

    assert codes.values == [1, 3, 7]
    values = np.array([1, 3, 7, 2, 9, -1, np.nan])
    assert codes.codes(values).tolist() == [codes.code(value) for value in values.tolist()] == [1, 2, 3, 0, 0, 0, 0]


def test_no_features_give_a_matrix_without_columns() -> None:
    extractor = Extractor.fit(FIELDS, FeatureSet(), [fit_data()])
    assert extractor.transform([(None, 1.0, 1.0, 1, 1, 1, 1, 1)]).shape == (1, 0)
