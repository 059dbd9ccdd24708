"""A fitted Pipeline of scikit-learn, from a file made elsewhere: what is read, what is refused, and what it is given.

A `.skops` file is listed before anything in it is built. A pickle (`.joblib`, `.pkl`) runs code while it is read: it is
read at import alone, where `--trust` says so, and is kept as an archive of skops.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_bento.data import Dataset
from tabular_bento.errors import ModelFileError
from tabular_bento.features import Extractor, State
from tabular_bento.features.columns import arrays_of
from tabular_bento.problem import Problem
from tabular_bento.schema import Field, Kind
from tabular_bento.scoring.runners import install_command, skops_files
from tabular_bento.scoring.runners.frames import InputColumn
from tabular_bento.scoring.runners.pipeline import PipelineInput, PipelineRunner
from tabular_bento.training.independence import ROWS_AT_IMPORT, is_independent, unseen_text
from tabular_bento.training.sample import Sample, default_columns

PICKLES = (".joblib", ".pkl", ".pickle")

_DOCS = "docs/import.md"
_CHECKED_ROWS = 500
_SAME = 1e-9


def import_pipeline(
    file: Path,
    problem: Problem,
    dataset: Dataset,
    *,
    rows: Path | None = None,
    trust: bool = False,
    names: Mapping[str, str] | None = None,
) -> PipelineRunner:
    """The runner of a Pipeline, or of any estimator, in a file.

    Parameters
    ----------
    file : Path
        `.skops`, `.joblib`, `.pkl` or `.pickle`.
    problem : Problem
        Its fields are the Pipeline's columns, and its target is what the Pipeline predicts.
    dataset : Dataset
        Real rows, on which the Pipeline is tried.
    rows : Path, optional
        A Parquet file of rows as the Pipeline was fitted on them: their types are the types that it is given. By
        default they follow from the kinds of the fields.
    trust : bool
        Whether a pickle may be read, and types that skops does not know may be built.
    names : mapping, optional
        The table's name of each field whose name is another one, as of `TableSource`.

    Raises
    ------
    ModelFileError
        Where the file is damaged or not trusted, or the Pipeline cannot predict the problem's rows.
    """
    content = _read(file)
    try:
        archive, types, approved = _archive(file, content, trust)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            estimator = skops_files.build(archive, types, approved)
    except ImportError as error:
        raise ModelFileError(
            f"{file.name} needs {error.name}, which is not installed: {install_command('pipeline')}"
        ) from error
    except ModelFileError:
        raise
    except Exception as error:  # whatever a file of other content makes skops or a type raise
        raise ModelFileError(f"{file.name} cannot be read: {_line(error)}.") from error
    _report(caught)
    classes = _classes(estimator, problem)
    sample = None if rows is None else Sample.read(rows)
    columns, array = _columns(estimator, problem, sample, names or {})
    given = PipelineInput(columns, array, classes, problem.task.offset, types, approved)
    runner = PipelineRunner.of(estimator, given, archive)
    if sample is not None:
        _check_sample(runner, problem, sample)
    _check_rows(runner, problem, dataset)
    return _measured(runner, problem, dataset)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{file} cannot be read: {error.strerror or error}.") from error


def _archive(file: Path, content: bytes, trust: bool) -> tuple[bytes, tuple[str, ...], tuple[str, ...]]:
    """The model as an archive of skops, the types in it, and those of them that `trust` approves."""
    if file.suffix in PICKLES:
        if not trust:
            raise ModelFileError(
                f"{file.name} is a pickle, and reading a pickle runs whatever code is in it. Nothing was read. If you "
                "know who made the file, and that it is the one they made, add --trust; otherwise have it saved by "
                f"skops.io.dump, which runs nothing. See {_DOCS}."
            )
        content = _unpickled(file, content)
    try:
        types = tuple(skops_files.unknown_types(content))
    except ValueError as error:
        raise ModelFileError(f"{file.name} cannot be imported: {error}. Nothing in it was executed.") from error
    if forbidden := [name for name in types if skops_files.is_forbidden(name)]:
        mine = [name for name in forbidden if name.startswith("__main__.")]
        do = (
            "What is defined in a script or a notebook is in no module that a server could import: move it into a "
            "module, such as features/, and fit again."
            if mine
            else "These are never built, with --trust neither: they could run anything."
        )
        raise ModelFileError(f"{file.name} holds {', '.join(forbidden)}. {do} Nothing in it was executed.")
    beyond = tuple(name for name in types if not skops_files.is_library_type(name))
    if beyond and not trust:
        listed = "\n".join(f"  {name}{_reason(name)}" for name in beyond)
        raise ModelFileError(
            f"{file.name} holds types that skops does not trust by itself:\n{listed}\n"
            "Nothing was built. If you know who made the file, and that it is the one they made, add --trust, which "
            f"approves these types for this model; otherwise do not import it. See {_DOCS}."
        )
    return content, types, beyond


def _unpickled(file: Path, content: bytes) -> bytes:
    """The object of a trusted pickle as an archive of skops."""
    import joblib
    import skops.io

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            loaded = joblib.load(io.BytesIO(content))
        except ImportError as error:
            raise ModelFileError(
                f"{file.name} needs the module {error.name}, which is not there: install it, or add it to the project."
            ) from error
        except Exception as error:  # a pickle raises what it likes
            raise ModelFileError(f"{file.name} cannot be read, or is truncated: {_line(error)}.") from error
    _report(caught)
    try:
        return skops_files.canonical(skops.io.dumps(loaded))
    except Exception as error:
        raise ModelFileError(
            f"{file.name} holds what skops cannot keep: {_line(error)}. A lambda or a function of a notebook is kept "
            "where it is one of a module."
        ) from error


def _classes(estimator: Any, problem: Problem) -> tuple[int, ...]:
    """For each class of the problem, the column of `predict_proba`; empty of a regression."""
    from sklearn.base import BaseEstimator, is_classifier, is_regressor
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    task, what = problem.task, type(estimator).__name__
    if not hasattr(estimator, "predict"):
        raise ModelFileError(f"The file holds a {what}, which has no `predict`: it is no fitted Pipeline or estimator.")
    try:
        if isinstance(estimator, BaseEstimator):
            check_is_fitted(estimator)
    except NotFittedError as error:
        raise ModelFileError(f"The {what} is not fitted: save it after `fit`.") from error
    if not task.classes:
        if is_classifier(estimator):
            raise ModelFileError(f"The {what} predicts classes, and the problem is a {task.kind} of numbers.")
        return ()
    if is_regressor(estimator):
        raise ModelFileError(
            f"The {what} predicts numbers, and the problem is a {task.kind} of the classes {task.listed}."
        )
    if not hasattr(estimator, "predict_proba"):
        raise ModelFileError(
            f"The {what} has no `predict_proba`, and a prediction holds probabilities. Fit it again inside "
            "CalibratedClassifierCV, or an SVC with probability=True."
        )
    known = [_plain(label) for label in np.asarray(getattr(estimator, "classes_", ())).tolist()]
    wanted = [_plain(label) for label in task.classes]
    if sorted(map(repr, known)) != sorted(map(repr, wanted)):
        left, right = sorted(set(map(repr, known))), sorted(set(map(repr, wanted)))
        raise ModelFileError(
            "The Pipeline's classes are not the problem's:\n" + _beside("Pipeline", left, "problem", right)
        )
    return tuple(known.index(label) for label in wanted)


def _plain(label: Any) -> Any:
    """A label of which equal ones have one text: whole numbers and booleans are integers."""
    whole = isinstance(label, bool) or (isinstance(label, float) and label.is_integer())
    return int(label) if whole else label


def _columns(
    estimator: Any, problem: Problem, sample: Sample | None, names: Mapping[str, str]
) -> tuple[tuple[InputColumn, ...], str | None]:
    """The columns that the Pipeline is given, and the type of the array where it takes one."""
    fields = {names.get(item.name, item.name): item for item in problem.fields}
    fields |= {item.name: item for item in problem.fields}
    fitted_on = getattr(estimator, "feature_names_in_", None)
    if fitted_on is not None:
        wanted = [str(name) for name in fitted_on]
    elif sample is None:
        raise ModelFileError(
            "The Pipeline was fitted on an array, whose columns have no names: name a Parquet file of rows whose "
            "columns are in their order by --rows."
        )
    else:
        target = {problem.target.name, names.get(problem.target.name, problem.target.name)}
        wanted = [name for name in sample.names if name not in target]
    _check_names(wanted, problem, fields)
    count = getattr(estimator, "n_features_in_", len(wanted))
    if count != len(wanted):
        raise ModelFileError(
            f"The Pipeline was fitted on an array of {count} columns, and {sample.file if sample else 'the rows'} has "
            f"{len(wanted)}: {', '.join(wanted)}."
        )
    if sample is None:
        return default_columns(wanted, fields), None
    if absent := [name for name in wanted if name not in sample.names]:
        raise ModelFileError(
            f"{sample.file} lacks columns that the Pipeline was fitted on:\n"
            + _beside("Pipeline", wanted, "rows", sample.names)
            + f"\nMissing: {', '.join(absent)}."
        )
    columns = sample.columns(wanted, fields, none=_marks_none(estimator))
    return columns, None if fitted_on is not None else sample.array_type(wanted)


def _check_names(wanted: Sequence[str], problem: Problem, fields: Mapping[str, Field]) -> None:
    if [name for name in wanted if name not in fields]:
        raise ModelFileError(
            "The Pipeline's columns are not the problem's fields:\n"
            + _beside("Pipeline", wanted, "problem", problem.field_names)
            + "\nDeclare the fields under the names that the Pipeline was fitted on."
        )


def _beside(left: str, ours: Sequence[str], right: str, theirs: Sequence[str]) -> str:
    """Two lists side by side, equal names in one line."""
    rows = [(name, name if name in theirs else "-") for name in ours]
    rows += [("-", name) for name in theirs if name not in ours]
    width = max(len(name) for name, _ in (*rows, (left, "")))
    return "\n".join(f"  {one:<{width}}  {other}" for one, other in [(left, right), *rows])


def _marks_none(estimator: Any) -> bool:
    """Whether a fitted part takes None for a missing text, by a parameter or by what it has learnt."""
    found, todo = set(), [estimator]
    while todo:
        part = todo.pop()
        if id(part) in found:
            continue
        found.add(id(part))
        if isinstance(part, list | tuple):
            todo += part
        elif isinstance(part, np.ndarray):
            if part.dtype == object and any(value is None for value in part.tolist()):
                return True
        elif type(part).__module__.startswith("sklearn."):
            values = vars(part) if hasattr(part, "__dict__") else {}
            if "missing_values" in values and values["missing_values"] is None:
                return True
            todo += [values[name] for name in values if name in ("categories_", "steps", "transformers_", "estimator_")]
            todo += [values[name] for name in values if name in ("best_estimator_", "estimators_", "transformer_list")]
    return False


def _check_sample(runner: PipelineRunner, problem: Problem, sample: Sample) -> None:
    """Make sure that rows that come as fields are predicted as the sample itself is."""
    given = runner.given
    rows = sample.frame[[item.name for item in given.columns]].head(_CHECKED_ROWS)
    columns = sample.fields(rows, given.columns, problem)
    X = rows if given.array is None else rows.to_numpy()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            direct = np.asarray((runner.estimator.predict_proba if given.classes else runner.estimator.predict)(X))
    except Exception as error:
        raise ModelFileError(f"The Pipeline cannot predict the rows of {sample.file}: {_line(error)}.") from error
    raw = _scores(runner, columns, f"the rows of {sample.file}, as fields of the problem,")
    decoded = problem.task.decode(raw, _offset(problem, columns))
    found = next(iter(decoded.values())) if not given.classes else decoded["probability"]
    wanted = direct[:, given.classes] if given.classes else direct.reshape(len(direct))
    off = np.abs(found - wanted) / np.maximum(1, np.abs(wanted))
    off = off.reshape(len(off), -1).max(axis=1)
    if not (off <= _SAME).all():
        row = int(np.argmax(~(off <= _SAME)))
        raise ModelFileError(
            f"Row {row} of {sample.file} is predicted {wanted[row]} by the Pipeline, and {found[row]} when its values "
            "come as fields of the problem. Compare the kinds of the fields with the types of the columns: "
            + ", ".join(f"{item.name} {item.dtype} as {item.kind.value}" for item in given.columns)
            + "."
        )


def _check_rows(runner: PipelineRunner, problem: Problem, dataset: Dataset) -> None:
    """Make sure that rows that a server accepts are predicted: real ones, those with gaps, and with unknown texts."""
    real = _first_rows(problem, dataset)
    _scores(runner, real, "rows of the project's source")
    first = {name: values[:1] for name, values in real.items()}
    for item in problem.fields:
        if item.kind is Kind.TEXT:
            changed = {**first, item.name: np.array([unseen_text(item)], dtype=object)}
            hint = _unknown_hint(runner.estimator)
            _scores(runner, changed, f"a row with a {item.name} that it has not seen", hint)
        if item.optional:
            changed = {**first, item.name: np.array([item.missing], dtype=item.dtype)}
            hint = f" Impute it in the Pipeline or, if it is always there, declare {item.name!r} without `optional`."
            _scores(runner, changed, f"a row without {item.name}", hint)
    _check_threshold(runner.estimator, problem)


def _check_threshold(estimator: Any, problem: Problem) -> None:
    """Warn where `predict` has a decision threshold of its own, which is not taken over."""
    threshold = getattr(estimator, "best_threshold_", getattr(estimator, "threshold", None))
    if problem.task.classes and isinstance(threshold, float):
        warnings.warn(
            f"The {type(estimator).__name__} has a decision threshold of its own, {threshold:g}: set `threshold` in "
            f"the training settings to that of the probability of {problem.task.classes[-1]!r}.",
            stacklevel=2,
        )


def _unknown_hint(estimator: Any) -> str:
    """What to change where an encoder refuses texts that it has not seen."""
    parameters = estimator.get_params() if hasattr(estimator, "get_params") else {}
    names = [name for name, value in parameters.items() if name.endswith("handle_unknown") and value == "error"]
    if not names:
        return ""
    changes = ", ".join(f"{name}='ignore'" for name in names)
    return f" A server is sent texts that nobody has seen: pipeline.set_params({changes}), and save it again."


def _scores(
    runner: PipelineRunner, columns: Mapping[str, NDArray[Any]], what: str, hint: str = ""
) -> NDArray[np.float64]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raw = runner.predict(columns)
    except Exception as error:
        raise ModelFileError(f"The Pipeline cannot predict {what}: {_line(error)}.{hint}") from error
    if not np.isfinite(raw).all():
        raise ModelFileError(f"The Pipeline predicts {what} as a number that is not finite.{hint}")
    return raw


def _measured(runner: PipelineRunner, problem: Problem, dataset: Dataset) -> PipelineRunner:
    """The runner, known to be independent where rows had the same bits alone and in batches."""
    extractor = Extractor(problem.fields, type(problem.features)(), State())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = _first_rows(problem, dataset, ROWS_AT_IMPORT)
        return runner.with_independence(is_independent(problem, extractor, runner, rows))


def _first_rows(problem: Problem, dataset: Dataset, most: int = _CHECKED_ROWS) -> dict[str, NDArray[Any]]:
    """Rows drawn evenly over all of the source."""
    places = np.unique(np.linspace(0, len(dataset) - 1, min(most, len(dataset))).astype(np.int64))
    return arrays_of(dataset.where(places).columns, problem.fields)


def _offset(problem: Problem, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64] | None:
    name = problem.task.offset
    return None if name is None else np.asarray(columns[name], dtype=np.float64)


def _reason(name: str) -> str:
    """Why skops does not trust a type, where it says so."""
    from skops.io import exceptions

    known = name in getattr(exceptions, "UNTRUSTED_TYPE_REASONS", {})
    return ": its nodes index memory without a check, so a crafted file could end the process" if known else ""


def _report(caught: Sequence[warnings.WarningMessage]) -> None:
    """Pass on what scikit-learn warns of, such as a file of another version, once each."""
    for message in dict.fromkeys(str(item.message).strip().splitlines()[0] for item in caught):
        warnings.warn(message, stacklevel=3)


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
