"""Pipelines that another process has fitted: they predict what they did there, or are refused."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tabular_bento import Binary, Field, Kind, Multiclass, Problem, Regression
from tabular_bento.data import Dataset
from tabular_bento.errors import ModelFileError, PackageError, TrainingError
from tabular_bento.features import Extractor, State
from tabular_bento.features.columns import arrays_of, rows_of
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.runners import load_runner
from tabular_bento.scoring.runners.pipeline import PipelineRunner
from tabular_bento.testing import check_fitted_runner
from tabular_bento.training import independence, load_config, train
from tabular_bento.training.importing import import_pipeline
from tabular_bento.training.pipeline import Imported
from tests.unit import models

COST = Regression(Field("cost", Kind.NUMBER, "Cost"))
LATE = Binary(Field("late", Kind.TEXT, "Late"), classes=("no", "yes"))
SIZE = Multiclass(Field("size", Kind.TEXT, "Size"), classes=("small", "medium", "large"))

FIELDS = (
    Field("pieces", Kind.INTEGER, "Pieces", minimum=1, maximum=9),
    Field("weight", Kind.NUMBER, "Weight", optional=True),
    Field("kind", Kind.TEXT, "Kind", min_length=1, max_length=8),
    Field("town", Kind.TEXT, "Town", max_length=8, optional=True),
    Field("fragile", Kind.BOOLEAN, "Whether it is fragile"),
    Field("sent", Kind.LOCAL_TIME, "When it was sent"),
    Field("paid", Kind.INSTANT, "When it was paid"),
    Field("due", Kind.DATE, "When it is due"),
)


def problem_of(task: Any, *names: str) -> Problem:
    fields = tuple(item for item in FIELDS if not names or item.name in names)
    return Problem(name="sent", fields=fields, task=task)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files, made by a process that knows nothing of this one."""
    folder = tmp_path_factory.mktemp("elsewhere")
    script = Path(__file__).parents[2] / "elsewhere.py"
    subprocess.run([sys.executable, script, folder], check=True, timeout=300)
    return folder


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows are scored alone, which takes long."""
    monkeypatch.setattr(independence, "ROWS", 24)
    monkeypatch.setattr(independence, "ROWS_AT_IMPORT", 24)


@cache
def dataset(folder: Path, problem: Problem) -> Dataset:
    """The rows that the Pipelines were fitted on, as the project's source has them."""
    import pandas as pd

    return Dataset.of_table(problem, pd.read_parquet(folder / "rows.parquet"))


def imported(folder: Path, name: str, problem: Problem, rows: str | None = "used", **options: Any) -> PipelineRunner:
    sample = None if rows is None else folder / f"{rows}.parquet"
    options = {"trust": True, **options}
    return import_pipeline(folder / name, problem, dataset(folder, problem), rows=sample, **options)


def predicted(runner: Any, folder: Path, problem: Problem) -> dict[str, Any]:
    rows = dataset(folder, problem)
    raw = runner.predict(arrays_of(rows.columns, problem.fields))
    return problem.task.decode(raw, rows.offset)


USED = ("kind", "town", "weight", "pieces", "fragile")


@pytest.mark.parametrize(
    ("name", "task", "exact", "rows"),
    [
        ("boosted.skops", LATE, True, "used"),
        ("boosted.joblib", LATE, True, None),
        ("boosted.pkl", LATE, True, "used"),
        ("logistic.skops", LATE, None, "used"),
        ("forest.skops", SIZE, True, "used"),
        ("ridge.skops", COST, None, None),
    ],
)
def test_it_predicts_what_it_predicted_there(
    files: Path, name: str, task: Any, exact: bool | None, rows: str | None, tmp_path: Path
) -> None:
    problem = problem_of(task, *USED)
    runner = imported(files, name, problem, rows)
    assert exact is None or runner.exact is exact
    runner.save(tmp_path)
    loaded = load_runner("pipeline", tmp_path)
    assert type(loaded) is type(runner)
    stem = name.partition(".")[0]
    for one in (runner, loaded):
        outputs = predicted(one, files, problem)
        said = np.load(files / f"{stem}.predict.npy")
        if not task.classes:
            np.testing.assert_allclose(outputs["cost"], said.astype(float), rtol=1e-12)
            continue
        order = [sorted(task.classes).index(label) for label in task.classes]
        probability = np.load(files / f"{stem}.proba.npy")[:, order]
        clear = np.ptp(np.sort(probability)[:, -2:], axis=1) > 1e-9  # of equal ones the first declared is predicted
        assert outputs[task.target.name][clear].tolist() == said[clear].tolist()
        np.testing.assert_allclose(outputs["probability"], probability, rtol=0, atol=1e-14)
    again = tmp_path / "again"
    again.mkdir()
    loaded.save(again)
    for path in again.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()


@pytest.mark.parametrize(("name", "task"), [("boosted.skops", LATE), ("ridge.skops", COST), ("forest.skops", SIZE)])
def test_it_passes_the_checks_of_every_runner(files: Path, name: str, task: Any) -> None:
    problem = problem_of(task, *USED)
    runner = imported(files, name, problem)
    columns = arrays_of(dataset(files, problem).where(slice(0, 40)).columns, problem.fields)
    check_fitted_runner(runner, columns, task)


def test_a_missing_extra_is_named_with_its_command(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_of(LATE, *USED)
    monkeypatch.setitem(sys.modules, "skops.io", None)
    with pytest.raises(ModelFileError, match=r"needs skops.*pip install 'tabular-bento\[pipeline\]'"):
        imported(files, "boosted.skops", problem)
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(ModelFileError, match=r"needs joblib.*pip install 'tabular-bento\[pipeline\]'"):
        imported(files, "boosted.joblib", problem)


class Shaky:
    """A runner of fields that gives some rows another last bit in batches, as products of matrices do."""

    kind, takes, tolerance, distribution = "shaky", "fields", 0.0, ""

    def predict(self, columns: Any) -> Any:
        weight = np.nan_to_num(np.asarray(columns["weight"], dtype=np.float64))
        return np.where((weight.size > 1) & (columns["pieces"] == 7), np.nextafter(weight, 99), weight)[:, None]


def test_rows_are_not_independent_where_one_in_200_has_other_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(independence, "ROWS_AT_IMPORT", 1_000)
    problem, runner = problem_of(COST, "weight", "pieces"), Shaky()
    given: Any = (problem, Extractor(problem.fields, type(problem.features)(), State()), runner)
    columns = {"weight": np.linspace(1, 2, 5_000), "pieces": np.where(np.arange(5_000) % 200, 1.0, 7.0)}
    assert independence.measure_batches(*given, columns, 0.0, 0).difference == 0  # of 24 rows
    assert not independence.is_independent(*given, columns)
    assert independence.is_independent(*given, {**columns, "pieces": np.ones(5_000)})


def test_an_estimator_that_was_fitted_on_an_array(files: Path) -> None:
    problem = problem_of(COST, "weight", "pieces")
    runner = imported(files, "array.skops", problem, "numbers")
    assert runner.given.array == "float64"
    assert [item.name for item in runner.given.columns] == ["weight", "pieces"]
    said = np.load(files / "array.predict.npy").astype(float)
    np.testing.assert_array_equal(predicted(runner, files, problem)["cost"], said)
    with pytest.raises(ModelFileError, match="fitted on an array"):
        imported(files, "array.skops", problem, None)
    with pytest.raises(ModelFileError, match=r"array of 2 columns, and used\.parquet has 5"):
        imported(files, "array.skops", problem_of(COST, *USED), "used")


def test_categories_of_pandas_are_those_of_the_sample(files: Path) -> None:
    problem = problem_of(COST, "weight", "pieces", "kind")
    runner = imported(files, "dated.skops", problem, "rows")
    kind = runner.given.columns[1]
    assert (kind.dtype, kind.categories) == ("category", ("tube", "letter", "box"))
    said = np.load(files / "dated.predict.npy").astype(float)
    np.testing.assert_array_equal(predicted(runner, files, problem)["cost"], said)


def test_columns_of_every_kind_have_the_types_of_the_sample(files: Path) -> None:
    import pandas as pd

    from tabular_bento.scoring.runners.frames import frame_of
    from tabular_bento.training.sample import Sample

    problem = problem_of(COST)
    sample = Sample.read(files / "rows.parquet")
    names = [item.name for item in FIELDS]
    columns = sample.columns(names, {item.name: item for item in FIELDS}, none=False)
    given = sample.fields(sample.frame, columns, problem)
    expected = sample.frame[names].assign(pieces=sample.frame["pieces"])
    pd.testing.assert_frame_equal(frame_of(given, columns), expected, check_index_type=False)
    again = [type(item).from_dict(item.to_dict()) for item in columns]
    assert again == list(columns)


def test_the_offset_is_taken_off(files: Path) -> None:
    task = Regression(Field("cost", Kind.NUMBER, "Cost"), offset="pieces")
    problem = problem_of(task, *USED)
    runner = imported(files, "ridge.skops", problem)
    said = np.load(files / "ridge.predict.npy").astype(float)
    np.testing.assert_allclose(predicted(runner, files, problem)["cost"], said, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "task", "fields", "options", "message"),
    [
        ("svc.skops", LATE, USED, {}, "no `predict_proba`"),
        ("unfitted.skops", COST, USED, {}, "The Pipeline is not fitted"),
        ("boosted.skops", COST, USED, {}, "predicts classes, and the problem is a regression"),
        ("ridge.skops", LATE, USED, {}, "predicts numbers, and the problem is a binary of the classes 'no', 'yes'"),
        ("boosted.skops", SIZE, USED, {}, r"classes are not the problem's:\n  Pipeline  problem\n  'no'      -"),
        ("ridge.skops", COST, ("kind", "weight", "sent"), {}, r"  Pipeline  problem\n  kind      kind\n  town      -"),
        (
            "ridge.skops",
            COST,
            USED,
            {"rows": "numbers"},
            r"lacks columns that.*\nMissing: kind, town, fragile",
        ),
        ("strict.skops", LATE, USED, {}, r"set_params\(columns__texts__onehotencoder__handle_unknown='ignore'\)"),
        (
            "boosted.skops",
            LATE,
            USED,
            {"trust": False},
            r"not trust.*\n  sklearn.tree._tree.Tree: its nodes index",
        ),
        ("boosted.joblib", LATE, USED, {"trust": False}, "is a pickle, .* Nothing was read.*--trust"),
        ("local.skops", COST, USED, {}, "__main__.timed.* move it into a module"),
        ("runs.skops", COST, USED, {}, "posix.system.* never built"),
        ("used.parquet", COST, USED, {}, "no archive of skops, or is truncated"),
        ("absent.skops", COST, USED, {}, "cannot be read: No such file"),
    ],
)
def test_what_cannot_be_served_is_refused(
    files: Path, name: str, task: Any, fields: Any, options: dict[str, Any], message: str
) -> None:
    problem = problem_of(task, *fields)
    with pytest.raises(ModelFileError, match=message.replace(".*", "(?s:.*)")):
        imported(files, name, problem, **options)


def test_nothing_of_a_pickle_is_run_without_trust(files: Path) -> None:
    problem = problem_of(COST, *USED)
    with pytest.raises(ModelFileError, match="is a pickle"):
        imported(files, "runs.pkl", problem, trust=False)
    assert not (files / "was_run").exists()


@pytest.mark.parametrize("cut", [10, 0.2, 0.5, 0.99])
def test_a_truncated_file_is_refused(files: Path, tmp_path: Path, cut: float) -> None:
    problem = problem_of(LATE, *USED)
    for name in ("boosted.skops", "boosted.joblib"):
        content = (files / name).read_bytes()
        path = tmp_path / name
        path.write_bytes(content[: int(cut if cut > 1 else cut * len(content))])
        with pytest.raises(ModelFileError, match="truncated"):
            import_pipeline(path, problem, dataset(files, problem), rows=files / "used.parquet", trust=True)


def test_an_archive_that_would_fill_the_memory_is_not_unpacked(files: Path, tmp_path: Path) -> None:
    path, zeros = tmp_path / "bomb.skops", bytes(1 << 20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("schema.json", "w") as file:
        for _ in range(300):
            file.write(zeros)
    problem = problem_of(LATE, *USED)
    with pytest.raises(ModelFileError, match="made to fill the memory"):
        import_pipeline(path, problem, dataset(files, problem))


@pytest.mark.parametrize(
    "schema", [b"", b"{}", b"[]", b'{"protocol": 99}', b'{"protocol": 2, "__loader__": "No"}', b"[" * 100_000]
)
def test_an_archive_of_something_else_is_refused(files: Path, tmp_path: Path, schema: bytes) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("schema.json", schema)
    path = tmp_path / "other.skops"
    path.write_bytes(content.getvalue())
    problem = problem_of(LATE, *USED)
    with pytest.raises(ModelFileError, match="cannot be imported"):
        import_pipeline(path, problem, dataset(files, problem))


def test_types_that_nobody_approved_are_not_loaded(files: Path, tmp_path: Path) -> None:
    runner = imported(files, "boosted.skops", problem_of(LATE, *USED))
    assert runner.given.approved == ("sklearn.tree._tree.Tree",)
    changed = type(runner)(runner.estimator, replace(runner.given, approved=()), runner._archive)
    changed.save(tmp_path)
    with pytest.raises(PackageError, match=r"types sklearn\.tree\._tree\.Tree, which are not trusted"):
        load_runner("pipeline", tmp_path)


def test_the_package_says_where_it_is_from_and_predicts_every_row_alike(files: Path, tmp_path: Path) -> None:
    problem = problem_of(LATE, *USED)
    runner, rows = imported(files, "logistic.skops", problem), dataset(files, problem)
    settings: Any = {"runner": "pipeline", "resamples": 100, "report": False}
    file = Imported("logistic.skops", "0" * 64, ("a note",))
    model = train(problem, rows, load_config(**settings), fitted=runner, imported=file)
    assert "a note" in model.warnings
    models.write(tmp_path / "package", model)
    package = ModelPackage.load(tmp_path / "package", "sent:one", problem)
    assert package.provenance["imported"]["file"] == "logistic.skops"
    described = package.describe()
    assert (described["runner"], described["tolerance"]) == ("pipeline", 1e-9)
    assert set(package.metrics["baselines"]) == {"naive_baseline"}
    batch = rows_of(rows.columns, problem.field_names)[:30]
    alone = np.concatenate([package.predict([row]).outputs["probability"] for row in batch])
    assert package.predict(batch).outputs["probability"].tobytes() == alone.tobytes()
    if not described["exact"]:
        assert described["batches"]["scored"] == "row by row"
    assert "imported from logistic.skops" in (tmp_path / "package" / "model_card.html").read_text(encoding="utf-8")


def test_a_pipeline_is_not_fitted_here(files: Path) -> None:
    problem = problem_of(LATE, *USED)
    with pytest.raises(TrainingError, match="tabular-bento import FILE"):
        train(problem, dataset(files, problem), load_config(runner="pipeline", resamples=100))


def test_it_has_no_threads_of_its_own(files: Path) -> None:
    runner = imported(files, "forest.skops", problem_of(SIZE, *USED))
    threaded = runner.estimator.set_params(model__n_jobs=4, columns__n_jobs=-1)
    found = PipelineRunner(threaded, runner.given, b"").estimator.get_params()
    assert (found["model__n_jobs"], found["columns__n_jobs"]) == (1, 1)
    every = runner.estimator.set_params(model__n_jobs=None)  # all cores, of LightGBM and XGBoost
    assert PipelineRunner(every, runner.given, b"").estimator.get_params()["model__n_jobs"] == 1


def test_no_rows(files: Path) -> None:
    problem = problem_of(SIZE, *USED)
    runner = imported(files, "forest.skops", problem)
    rows = dataset(files, problem)
    assert runner.predict({name: values[:0] for name, values in rows.columns.items()}).shape == (0, 3)
