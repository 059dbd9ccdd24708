"""Verdicts on real models over real flights."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.problem import PROBLEM
from tabular_bento.errors import CompareError, PackageError, TableError, UnreadableModelError
from tabular_bento.monitoring.comparison.job import run
from tabular_bento.monitoring.comparison.predictions import PairedPredictions
from tabular_bento.monitoring.comparison.result import CompareResult
from tabular_bento.scoring.manifest import write_manifest
from tabular_bento.scoring.package import PACKAGE_FILE, PROVENANCE_FILE
from tests.integration.monitoring.comparison.conftest import NO_LATENCY
from tests.integration.monitoring.variants import Variants
from training.source import SOURCE, Flights


def compare(
    variants: Variants,
    candidate: str,
    mode: Any,
    out: Path,
    source: str = "test",
    baseline: str | None = None,
) -> CompareResult:
    dataset = SOURCE.load() if source == "test" else None
    result = run(baseline or variants.own, candidate, source, mode, out, NO_LATENCY, problem=PROBLEM, dataset=dataset)
    assert CompareResult.model_validate_json((out / "compare.json").read_text()) == result
    json.loads((out / "compare.json").read_text(), parse_constant=lambda token: pytest.fail(f"{token} is no JSON"))
    return result


def test_a_model_saved_and_loaded_again_is_equivalent_to_the_bit(variants: Variants, tmp_path: Path) -> None:
    result = compare(variants, variants.again, "equivalent", tmp_path)
    assert (result.verdict, result.exit_code) == ("accepted", 0)
    assert result.rows.compared > 100_000
    assert result.agreement is not None
    assert (result.agreement.rows_differing, result.agreement.largest, result.agreement.worst) == (0, 0.0, [])


def test_a_near_equal_is_not_equivalent_and_the_worst_rows_are_shown_with_their_features(
    variants: Variants, tmp_path: Path
) -> None:
    result = compare(variants, variants.near, "equivalent", tmp_path)
    assert (result.verdict, result.exit_code) == ("refused", 1)
    assert result.agreement is not None
    worst = result.agreement.worst
    assert len(worst) == NO_LATENCY.worst_rows
    assert abs(worst[0].delta) == result.agreement.largest
    assert [abs(row.delta) for row in worst] == sorted((abs(row.delta) for row in worst), reverse=True)
    assert set(worst[0].features or ()) == set(PROBLEM.feature_names)
    assert not worst[0].features_differ
    assert worst[0].fields["carrier"]


def test_a_near_equal_is_not_worse(variants: Variants, tmp_path: Path) -> None:
    result = compare(variants, variants.near, "not_worse", tmp_path)
    assert (result.verdict, result.exit_code) == ("accepted", 0)
    assert {metric.status for metric in result.metrics} == {"not_worse"}
    assert all(metric.interval and metric.interval[0] < metric.delta < metric.interval[1] for metric in result.metrics)
    assert not [part for part in result.segments if part.status == "harmed"]
    assert {part.field for part in result.segments} == {"carrier", "origin"}
    assert sum(part.labels for part in result.segments if part.field == "origin") == result.rows.labels
    assert {cost.name for cost in result.costs} == {
        "one_row_microseconds",
        "thousand_rows_microseconds",
        "package_bytes",
    }


def test_a_worse_model_is_refused_and_the_metric_and_its_interval_are_named(variants: Variants, tmp_path: Path) -> None:
    result = compare(variants, variants.worse, "not_worse", tmp_path)
    assert (result.verdict, result.exit_code) == ("refused", 1)
    rmse = next(metric for metric in result.metrics if metric.name == "rmse")
    assert rmse.interval is not None
    low, high = rmse.interval
    assert 0 < low < rmse.delta < high
    reason = next(reason for reason in result.reasons if reason.startswith("RMSE"))
    assert f"{low:+.3f} to {high:+.3f}" in reason
    assert f"{rmse.margin:.3f}" in reason


def examples(flights: Flights, count: int, **columns: Any) -> pa.Table:
    table = flights.between(date(2013, 9, 1), date(2014, 1, 1))
    table = table.take(pa.array(np.linspace(0, table.num_rows - 1, count).astype(np.int64)))
    for name, values in columns.items():
        table = table.append_column(name, values)
    return table


def test_five_labels_are_too_few_to_tell(variants: Variants, flights: Flights, tmp_path: Path) -> None:
    pq.write_table(examples(flights, 5), tmp_path / "five.parquet")
    result = compare(variants, variants.worse, "not_worse", tmp_path, str(tmp_path / "five.parquet"))
    assert (result.verdict, result.exit_code) == ("cannot_tell", 2)
    assert "5 labels" in result.reasons[0]
    assert "id: missing in every row" in result.notes[0]


def test_a_harmed_segment_is_named_where_there_is_too_little_to_judge(
    variants: Variants, flights: Flights, paired: PairedPredictions, tmp_path: Path
) -> None:
    table = flights.between(date(2013, 9, 1), date(2013, 9, 15))
    as_predicted = np.where(paired.segments["carrier"] == "EV", paired.baseline["arrival_delay"], paired.labels)[
        : table.num_rows
    ]
    pq.write_table(table.append_column("label", pa.array(as_predicted, from_pandas=True)), tmp_path / "weeks.parquet")
    result = compare(variants, variants.near, "not_worse", tmp_path, str(tmp_path / "weeks.parquet"))
    assert (result.verdict, result.exit_code) == ("cannot_tell", 2)
    assert "labels over 14 days; at this spread" in result.reasons[0]
    assert "carrier EV" in next(note for note in result.notes if "shown to lose more than is allowed" in note)


def test_a_few_rows_that_agree_prove_no_equivalence(variants: Variants, flights: Flights, tmp_path: Path) -> None:
    pq.write_table(examples(flights, 99), tmp_path / "few.parquet")
    result = compare(variants, variants.again, "equivalent", tmp_path, str(tmp_path / "few.parquet"))
    assert (result.verdict, result.exit_code) == ("cannot_tell", 2)


def test_a_folder_of_parquet_with_an_label_column(variants: Variants, flights: Flights, tmp_path: Path) -> None:
    table = examples(flights, 300).drop_columns(["temp"])
    table = table.append_column("label", table[PROBLEM.target.name])
    table = table.set_column(
        table.column_names.index(PROBLEM.target.name), PROBLEM.target.name, pa.array(np.zeros(300))
    )
    folder = tmp_path / "examples" / "part"
    folder.mkdir(parents=True)
    pq.write_table(table.slice(0, 200), folder / "a.parquet")
    pq.write_table(table.slice(200), folder / "b.parquet")

    result = compare(variants, variants.near, "not_worse", tmp_path, str(folder.parent))
    assert result.rows.compared == 300
    assert 290 < result.rows.labels <= 300
    assert result.metrics[0].baseline > 5, "errors are against `label`, not against the zeros"
    assert "temp, id" in result.notes[0]


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [("carrier", ["??????"] * 20, "carrier"), ("temp", [1000.0] * 20, "temp"), ("dest", [None] * 20, "dest")],
)
def test_examples_that_a_server_would_refuse_are_named(
    variants: Variants, flights: Flights, tmp_path: Path, column: str, values: list[Any], said: str
) -> None:
    table = examples(flights, 20)
    table = table.set_column(table.column_names.index(column), column, pa.array(values))
    pq.write_table(table, tmp_path / "bad.parquet")
    with pytest.raises(TableError, match=rf"bad\.parquet\.{said}"):
        compare(variants, variants.near, "not_worse", tmp_path, str(tmp_path / "bad.parquet"))


def test_months_that_a_model_was_trained_on_are_left_out(variants: Variants, tmp_path: Path) -> None:
    provenance = json.loads((Path(variants.near) / PROVENANCE_FILE).read_text())
    provenance["config"]["split"] = {
        "train": ["2013-01", "2013-10"],
        "validation": ["2013-11", "2013-11"],
        "test": ["2013-12", "2013-12"],
    }
    folder = tmp_path / "later"
    folder.mkdir()
    shutil.copytree(variants.near, folder, dirs_exist_ok=True)
    (folder / PROVENANCE_FILE).write_text(json.dumps(provenance))
    write_manifest(folder)
    result = compare(variants, variants.near, "equivalent", tmp_path, baseline=str(folder))
    assert result.source.first is not None
    assert result.source.first.date() == date(2013, 11, 1)
    assert "2013-09, 2013-10 left out" in result.notes[0]


def other_code(folder: str, to: Path) -> str:
    """The package as a checkout of other feature code would have made it."""
    to.mkdir()
    shutil.copytree(folder, to, dirs_exist_ok=True)
    document = json.loads((to / PACKAGE_FILE).read_text())
    document["code_fingerprint"] = "0" * 64
    (to / PACKAGE_FILE).write_text(json.dumps(document))
    write_manifest(to)
    return str(to)


def test_a_baseline_of_other_feature_code_cannot_tell_and_says_what_to_do(variants: Variants, tmp_path: Path) -> None:
    result = compare(variants, variants.near, "not_worse", tmp_path, baseline=other_code(variants.own, tmp_path / "x"))
    assert (result.verdict, result.exit_code) == ("cannot_tell", 2)
    assert "other feature code" in result.reasons[0]
    assert "URL" in result.reasons[0]
    assert (len(result.reasons), result.rows.compared, result.agreement, result.costs) == (1, 0, None, [])
    assert result.candidate.fingerprint is not None
    assert "Cannot tell" in (tmp_path / "compare.html").read_text()


def test_a_candidate_that_cannot_be_computed_is_a_failure(variants: Variants, tmp_path: Path) -> None:
    with pytest.raises(UnreadableModelError, match="other feature code"):
        compare(variants, other_code(variants.near, tmp_path / "x"), "not_worse", tmp_path)
    assert not (tmp_path / "compare.json").exists()


def test_what_is_not_there_is_reported(variants: Variants, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="flights:nowhere"):
        compare(variants, "flights:nowhere", "not_worse", tmp_path)
    with pytest.raises(CompareError, match="no Parquet file"):
        compare(variants, variants.near, "not_worse", tmp_path, str(tmp_path / "nowhere"))
    (tmp_path / "bad.parquet").write_text("not Parquet")
    with pytest.raises(CompareError, match="cannot be read as Parquet"):
        compare(variants, variants.near, "not_worse", tmp_path, str(tmp_path / "bad.parquet"))


def test_every_field_of_a_request_is_asked_for(paired: PairedPredictions) -> None:
    assert set(paired.rows) == {field.name for field in PROBLEM.fields}


def test_the_champion_is_named_by_its_alias(variants: Variants, tmp_path: Path) -> None:
    with pytest.raises(CompareError, match="Nothing was released yet"):
        compare(variants, variants.near, "not_worse", tmp_path, baseline="flights:champion")


def test_a_damaged_file_among_good_ones_is_named_and_nothing_is_accepted_on_the_rest(
    variants: Variants, flights: Flights, tmp_path: Path
) -> None:
    folder = tmp_path / "examples"
    folder.mkdir()
    pq.write_table(examples(flights, 300), folder / "good.parquet")
    (folder / "damaged.parquet").write_bytes((folder / "good.parquet").read_bytes()[:2_000])
    result = compare(variants, variants.again, "equivalent", tmp_path, str(folder))
    assert (result.verdict, result.exit_code, result.rows.compared) == ("cannot_tell", 2, 300)
    assert "damaged.parquet cannot be read as Parquet" in result.reasons[0]
    assert result.agreement is not None
    (folder / "good.parquet").unlink()
    with pytest.raises(CompareError, match=r"damaged\.parquet cannot be read as Parquet"):
        compare(variants, variants.again, "equivalent", tmp_path, str(folder))


def test_examples_without_rows_or_without_any_label_cannot_tell_and_are_reported(
    variants: Variants, flights: Flights, tmp_path: Path
) -> None:
    table = examples(flights, 300).drop_columns([PROBLEM.target.name])
    pq.write_table(table, tmp_path / "unlabelled.parquet")
    pq.write_table(table.slice(0, 0), tmp_path / "empty.parquet")
    for name, rows in (("unlabelled", 300), ("empty", 0)):
        result = compare(variants, variants.near, "not_worse", tmp_path, str(tmp_path / f"{name}.parquet"))
        assert (result.verdict, result.exit_code) == ("cannot_tell", 2)
        assert (result.rows.compared, result.rows.labels, result.metrics) == (rows, 0, [])
        assert result.reasons == ["No row has a label: there is nothing to judge errors by."]
        assert (result.agreement is not None) == bool(rows)
        assert any("holds no rows" in note for note in result.notes) == (not rows)
        assert "No row has a label" in (tmp_path / "compare.html").read_text()


def test_models_of_two_problems_are_not_compared(variants: Variants, tmp_path: Path) -> None:
    other = Path(shutil.copytree(variants.near, tmp_path / "other"))
    document = json.loads((other / PACKAGE_FILE).read_text())
    document["declaration"]["name"] = "trains"
    (other / PACKAGE_FILE).write_text(json.dumps(document))
    write_manifest(other)
    with pytest.raises(CompareError, match="a model of trains: only models of one problem can be compared"):
        compare(variants, str(other), "not_worse", tmp_path)
    assert not (tmp_path / "compare.json").exists()


def test_a_package_of_an_older_format_says_what_to_do(variants: Variants, tmp_path: Path) -> None:
    old = Path(shutil.copytree(variants.near, tmp_path / "old"))
    document = json.loads((old / PACKAGE_FILE).read_text())
    (old / PACKAGE_FILE).write_text(json.dumps({**document, "format": 1}))
    write_manifest(old)
    result = compare(variants, variants.near, "not_worse", tmp_path, baseline=str(old))
    assert (result.verdict, result.exit_code) == ("cannot_tell", 2)
    assert "is a package of format 1" in result.reasons[0]
    with pytest.raises(UnreadableModelError, match="is a package of format 1"):
        compare(variants, str(old), "not_worse", tmp_path)
