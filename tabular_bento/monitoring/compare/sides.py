"""The two that are compared: each answers rows, from its package in this process, or from a running server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import httpx
import numpy as np
from numpy.typing import NDArray

from features.definition import NAME, TARGET
from features.values import Columns
from tabular_bento.errors import CompareError, PackageError, UnreachableError, UnreadableModelError
from tabular_bento.evaluation.reference.package import stored_model
from tabular_bento.monitoring.compare.result import Party
from tabular_bento.monitoring.compare.settings import CompareSettings
from tabular_bento.monitoring.replay.client import Client, connect, paced
from tabular_bento.monitoring.replay.config import grpc_address
from tabular_bento.monitoring.replay.requests import requests_of
from tabular_bento.scoring.manifest import FILE as MANIFEST
from tabular_bento.scoring.package import ModelPackage
from tabular_bento.scoring.releases import CHAMPION, Releases
from tabular_bento.serving.bento import store_home

Role = Literal["baseline", "candidate"]
Array = NDArray[np.float64]


class Side(Protocol):
    """One of the two: who it is, and what it was trained on, as its package's provenance says."""

    party: Party
    provenance: Mapping[str, Any]

    def predict(self, columns: Columns) -> Array:
        """Predictions of n rows held as columns, shape [n]. Raises CompareError where there are none."""

    def features(self, columns: Columns) -> NDArray[np.float32] | None:
        """Their features, shape [n, features]; None where it does not show them."""

    def close(self) -> None:
        """Let go."""


def open_side(name: str, role: Role, settings: CompareSettings) -> Side:
    """The side that `name` says: a URL of a server, a folder of a package, or a tag of the BentoML store.

    Raises UnreachableError, PackageReferenceError for a tag that is not there, UnreadableModelError for a package that
    is there and cannot be computed by this checkout.
    """
    return ServerSide(name, role, settings) if is_url(name) else PackageSide.load(name)


def is_url(name: str) -> bool:
    """Whether a model is named by the URL of a server."""
    return name.startswith(("http://", "https://"))


class PackageSide:
    """A verified package, computed in this process."""

    def __init__(self, name: str, package: ModelPackage) -> None:
        self.package = package
        self.provenance: Mapping[str, Any] = package.provenance
        self.party = Party(
            name=name,
            kind="package",
            model=package.tag,
            fingerprint=package.fingerprint,
            trained_at=self.provenance.get("trained_at"),
            size_bytes=sum(path.stat().st_size for path in package.directory.rglob("*") if path.is_file()),
        )

    @classmethod
    def load(cls, name: str) -> PackageSide:
        """The package in the folder `name`, or of the tag `name`."""
        if (folder := Path(name)).joinpath(MANIFEST).exists():
            tag = name
        else:
            model = stored_model(resolved(name))
            folder, tag = Path(model.path), str(model.tag)
        try:
            return cls(name, ModelPackage.load(folder, tag))
        except PackageError as error:
            raise UnreadableModelError(
                f"{name} cannot be computed here: {error} To compare it all the same, serve it from where it runs and "
                "name it by its URL (--baseline URL), or compare on what it logged (--on shadow)."
            ) from error

    def predict(self, columns: Columns) -> Array:
        return self.package.predictor.predict_columns(columns).target

    def features(self, columns: Columns) -> NDArray[np.float32] | None:
        return self.package.predictor.extractor.transform_columns(columns)

    def close(self) -> None:
        return


class ServerSide:
    """A running server, asked through one of its doors; it logs these rows like any others."""

    def __init__(self, url: str, role: Role, settings: CompareSettings) -> None:
        self._url, self._settings = url.rstrip("/"), settings
        described = describe(self._url)
        self.provenance: Mapping[str, Any] = described.get("provenance") or {}
        self.party = Party(
            name=url,
            kind="server",
            model=described.get("tag"),
            fingerprint=described.get("fingerprint"),
            trained_at=self.provenance.get("trained_at"),
            size_bytes=None,
        )
        grpc = settings.baseline_grpc if role == "baseline" else settings.candidate_grpc
        self.address = grpc or grpc_address(self._url)
        self._loop = asyncio.Runner()
        try:
            self._client = self._loop.run(self._connect())
        except UnreachableError:
            self._loop.close()
            raise

    async def _connect(self) -> Client:
        settings = self._settings
        client = connect(self._url, settings.door, self.address, settings.concurrency, settings.timeout)
        try:
            await client.check()
        except UnreachableError:
            await client.__aexit__()
            raise
        return client

    def predict(self, columns: Columns) -> Array:
        rows = requests_of(columns)
        for place, row in enumerate(rows):
            row["id"] = f"compare-{place}"
        return self._loop.run(self._predict(rows))

    async def _predict(self, rows: Sequence[dict[str, Any]]) -> Array:
        size, predicted = self._settings.rows_per_request, np.full(len(rows), np.nan)
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]

        async def ask(turn: int) -> None:
            answers = await self._client.predict(parts[turn]) or ()
            values = [answer[TARGET.name] for answer in answers]
            predicted[turn * size : turn * size + len(values)] = values

        await paced([len(part) for part in parts], ask, self._settings.concurrency, None)
        failures = self._client.failures
        if failures.rows:
            raise CompareError(
                f"{self._url} did not answer {failures.rows:,} rows through its door {self._settings.door} "
                f"({failures.first}): a comparison needs every row; mend that, or leave those rows out."
            )
        return predicted

    def features(self, columns: Columns) -> None:  # noqa: ARG002
        return None

    def close(self) -> None:
        self._loop.run(self._client.__aexit__())
        self._loop.close()


def resolved(name: str) -> str:
    """The tag that the champion's alias stands for; any other name is itself."""
    if name != CHAMPION:
        return name
    try:
        release = Releases(store_home()).champion()
    except PackageError as error:
        raise CompareError(str(error)) from error
    if release is None:
        raise CompareError(f"Nothing was released yet, so there is no {CHAMPION}: name a tag, or `{NAME}:latest`.")
    return release.tag


def check_apart(baseline: Side, candidate: Side, settings: CompareSettings) -> None:
    """Raise CompareError where two servers would be asked at one gRPC address."""
    if settings.door != "grpc" or not (isinstance(baseline, ServerSide) and isinstance(candidate, ServerSide)):
        return
    if baseline.address == candidate.address and baseline.party.name != candidate.party.name:
        raise CompareError(
            f"Both servers would be asked at {baseline.address}: give each its own with --baseline-grpc and "
            "--candidate-grpc."
        )


def describe(url: str) -> dict[str, Any]:
    """What the server at `url` says of the model that it serves. Raises UnreachableError."""
    try:
        answer = httpx.get(f"{url}/model", timeout=30, trust_env=False)
        answer.raise_for_status()
        described = answer.json()
        if not isinstance(described, dict):
            raise ValueError("its answer describes no model")
        return described
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise UnreachableError(
            f"{url}/model does not answer ({type(error).__name__}: {error}): is a server of this project running there?"
        ) from error
