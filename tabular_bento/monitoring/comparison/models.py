"""The two models that are compared, each from its package in this process or from a running server; and their costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tabular_bento.client import AsyncClient, Client, Interface, grpc_address
from tabular_bento.client.asynchronous import paced
from tabular_bento.client.encoding import count_of, with_identifiers
from tabular_bento.errors import ClientError, CompareError, PackageError, UnreachableError, UnreadableModelError
from tabular_bento.features.columns import Columns
from tabular_bento.monitoring.comparison.result import ComparedModel, Cost
from tabular_bento.monitoring.comparison.settings import CompareSettings
from tabular_bento.problem import Declaration, Problem
from tabular_bento.protocol.predictions import held_output
from tabular_bento.scoring.manifest import FILE as MANIFEST
from tabular_bento.scoring.package import ModelPackage, read_declaration
from tabular_bento.scoring.releases import ALIAS, Releases
from tabular_bento.scoring.store import LocatedModel, find_model, store_home

Role = Literal["baseline", "candidate"]
Outputs = Mapping[str, NDArray[Any]]
"""Outputs of n predictions by name, of shape [n] or [n, parts]."""

_ROUNDS = {1: 60, 1_000: 9}
"""Turns of each model, by rows of a request: the median of so many."""

_NAMES = {1: "one_row_microseconds", 1_000: "thousand_rows_microseconds"}


class Model(Protocol):
    """One of the two: who it is, what it predicts, and what it was trained on, as its package's provenance says."""

    described: ComparedModel
    provenance: Mapping[str, Any]
    declaration: Declaration

    def predict(self, columns: Columns) -> Outputs:
        """The outputs of n rows held as columns. Raises CompareError where there are none."""

    def features(self, columns: Columns) -> NDArray[np.float32] | None:
        """Their features, shape [n, features]; None where it does not show them."""

    def close(self) -> None:
        """Close connections."""


def open_model(name: str, role: Role, settings: CompareSettings, problem: Problem | None) -> Model:
    """The model that `name` says: a URL of a server, a folder of a package, or a tag of the model store.

    Raises
    ------
    UnreachableError
        Where no server listens.
    PackageError
        For a tag that is not in the store.
    UnreadableModelError
        For a package that is there and cannot be computed by this checkout.
    """
    return ServerModel(name, role, settings) if is_url(name) else PackageModel.load(name, problem)


def is_url(name: str) -> bool:
    """Whether a model is named by the URL of a server."""
    return name.startswith(("http://", "https://"))


def located(name: str) -> LocatedModel:
    """The package in the folder `name`, or of the tag `name`.

    Raises
    ------
    CompareError
        For the champion where nothing was released.
    PackageError
        Where it is not there.
    """
    folder = Path(name)
    if folder.joinpath(MANIFEST).exists():
        return LocatedModel(folder, name)
    model, _, version = name.partition(":")
    if version == ALIAS and Releases(store_home(), model).champion() is None:
        raise CompareError(f"Nothing was released yet, so there is no {name}: name a tag, or `{model}:latest`.")
    return find_model(name)


class PackageModel:
    """A verified package, computed in this process."""

    def __init__(self, name: str, package: ModelPackage) -> None:
        self.package = package
        self.declaration = package.declaration
        self.provenance: Mapping[str, Any] = package.provenance
        self.described = ComparedModel(
            name=name,
            kind="package",
            model=package.tag,
            fingerprint=package.fingerprint,
            trained_at=self.provenance.get("trained_at"),
            size_bytes=sum(path.stat().st_size for path in package.directory.rglob("*") if path.is_file()),
        )

    @classmethod
    def load(cls, name: str, problem: Problem | None) -> PackageModel:
        """The package in the folder `name`, or of the tag `name`; raises as `open_model`."""
        model = located(name)
        if problem is None:
            raise CompareError(f"{name} is computed with its project's features: run the comparison in the project.")
        try:
            return cls(name, ModelPackage.load(model.directory, model.tag, problem))
        except PackageError as error:
            raise UnreadableModelError(
                f"{name} cannot be computed here: {error} To compare it all the same, serve it from where it runs and "
                "name it by its URL (--baseline URL), or compare on what it logged (--on shadow)."
            ) from error

    def predict(self, columns: Columns) -> Outputs:
        return self.package.predictor.predict_columns(columns).outputs

    def features(self, columns: Columns) -> NDArray[np.float32] | None:
        return self.package.extractor.transform_columns(columns)

    def close(self) -> None:
        return


class ServerModel:
    """A running server, which logs these rows like any others."""

    def __init__(self, url: str, role: Role, settings: CompareSettings) -> None:
        self._settings = settings
        described = describe(url)
        self.provenance: Mapping[str, Any] = described.get("provenance") or {}
        self.declaration = declaration_of(url, described)
        self.described = ComparedModel(
            name=url,
            kind="server",
            model=described.get("tag"),
            fingerprint=described.get("fingerprint"),
            trained_at=self.provenance.get("trained_at"),
            size_bytes=None,
        )
        grpc = settings.baseline_grpc if role == "baseline" else settings.candidate_grpc
        self.address = grpc or grpc_address(url)
        self._client = AsyncClient(
            url, self.address, timeout=settings.timeout, resend=True, connections=settings.concurrency
        )
        self._loop = asyncio.Runner()
        try:
            self._loop.run(self._client.check(settings.protocol))
        except UnreachableError:
            self.close()
            raise

    def predict(self, columns: Columns) -> Outputs:
        return self._loop.run(self._predict(with_identifiers(columns, Interface.of(self.declaration), "compare")))

    async def _predict(self, columns: Columns) -> Outputs:
        size, count = self._settings.rows_per_request, count_of(columns)
        known = {field.name for field in self.declaration.fields}
        columns = {name: values for name, values in columns.items() if name in known}
        parts: dict[int, Any] = {}
        refused = 0
        first: ClientError | None = None

        async def ask(number: int) -> None:
            nonlocal refused, first
            part = slice(number * size, (number + 1) * size)
            rows = {name: values[part] for name, values in columns.items()}
            try:
                parts[number] = await self._client.predict(rows, self._settings.protocol)
            except ClientError as error:
                refused, first = refused + count_of(rows), first or error

        sizes = [min(size, count - start) for start in range(0, count, size)]
        await paced(sizes, ask, self._settings.concurrency)
        if first is not None:
            status = getattr(first, "status", type(first).__name__)
            raise CompareError(
                f"{self.described.name} did not predict {refused:,} rows over {self._settings.protocol} ({status}: "
                f"{first}): a comparison needs every row; mend that, or leave those rows out."
            ) from first
        return {
            output.name: held_output(
                output, [value for number in sorted(parts) for value in parts[number].column(output.name)]
            )
            for output in self.declaration.outputs
        }

    def features(self, columns: Columns) -> None:  # noqa: ARG002
        return None

    def close(self) -> None:
        self._loop.run(self._client.close())
        self._loop.close()


def describe(url: str) -> dict[str, Any]:
    """What the server at `url` says of the model that it serves. Raises UnreachableError."""
    with Client(url, timeout=30, retries=0) as client:
        return client.model()


def declaration_of(url: str, described: Mapping[str, Any]) -> Declaration:
    """The declaration in what a server says of its model. Raises UnreachableError."""
    try:
        return Declaration.from_dict(described["declaration"])
    except (KeyError, TypeError, ValueError) as error:
        raise UnreachableError(
            f"{url}/model holds no declaration ({type(error).__name__}: {error}): is a server of this kind running "
            "there?"
        ) from error


def check_problem(baseline: str, candidate: str, problem: Problem | None) -> None:
    """Raise CompareError where the models are not of one problem, which is the project's where one is given.

    A package whose declaration cannot be read is left to `open_model`, which says why.
    """
    of: dict[str, Declaration] = {}
    for name in (baseline, candidate):
        with suppress(PackageError):
            of[name] = (
                declaration_of(name, describe(name)) if is_url(name) else read_declaration(located(name).directory)
            )
    names = {name: found.name for name, found in of.items()}
    if len(set(names.values())) > 1:
        first, second = (f"{name} is a model of {found}" for name, found in names.items())
        raise CompareError(f"{first}, and {second}: only models of one problem can be compared.")
    for name, found in names.items():
        if problem is not None and found != problem.name:
            raise CompareError(f"{name} is a model of {found}, and this is the project of {problem.name}.")


def check_apart(baseline: Model, candidate: Model, settings: CompareSettings) -> None:
    """Raise CompareError where two servers would be asked at one gRPC address."""
    if not settings.protocol.startswith("grpc"):
        return
    if not (isinstance(baseline, ServerModel) and isinstance(candidate, ServerModel)):
        return
    if baseline.address == candidate.address and baseline.described.name != candidate.described.name:
        raise CompareError(
            f"Both servers would be asked at {baseline.address}: give each its own with --baseline-grpc and "
            "--candidate-grpc."
        )


def costs(baseline: Model, candidate: Model, rows: Mapping[str, NDArray[Any]], settings: CompareSettings) -> list[Cost]:
    """Times of one and of a thousand of `rows`, arrays [n] by field, and sizes where both have one.

    Both are asked in turns, so that a busy machine slows both; of a server, the way there and back is part of it. The
    times of a server beside those of a package have no limit.
    """
    ours_of, theirs_of = baseline.described, candidate.described
    limit = settings.max_latency_ratio if ours_of.kind == theirs_of.kind else None
    found = []
    for count, rounds in _ROUNDS.items():
        places = np.arange(count) % count_of(rows)
        asked = {name: values[places] for name, values in rows.items()}
        ours, theirs = _in_turns(partial(baseline.predict, asked), partial(candidate.predict, asked), rounds)
        found.append(_cost(_NAMES[count], ours, theirs, limit))
    if ours_of.size_bytes and theirs_of.size_bytes:
        found.append(
            _cost("package_bytes", float(ours_of.size_bytes), float(theirs_of.size_bytes), settings.max_size_ratio)
        )
    return found


def _in_turns(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median time of each in microseconds; the first turn warms up and does not count."""
    times = np.array([[_clocked(first), _clocked(second)] for _ in range(rounds + 1)])[1:]
    ours, theirs = np.median(times, axis=0)
    return float(ours), float(theirs)


def _clocked(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e6


def _cost(name: Any, baseline: float, candidate: float, limit: float | None) -> Cost:
    return Cost(name=name, baseline=baseline, candidate=candidate, ratio=candidate / baseline, limit=limit)
