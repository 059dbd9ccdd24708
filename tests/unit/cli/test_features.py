from __future__ import annotations

from tabular_bento.cli.features import catalogue
from tests.unit.problems import PRICES


def test_the_catalogue_has_every_feature_and_look_up_where_no_model_was_trained() -> None:
    document = catalogue(PRICES)
    assert document["model"] is None
    assert [item["name"] for item in document["features"]] == list(PRICES.feature_names)
    assert [item["name"] for item in document["lookups"]] == [lookup.name for lookup in PRICES.features.lookups]
    for item in document["features"]:
        assert set(item) == {"name", "unit", "description", "fields", "lookups", "missing", "importance"}
        assert set(item["fields"]) <= set(PRICES.field_names)
        assert item["missing"] is None
