"""Shifts whose kind, column and strength are drawn, not chosen.

A shift is put into the requests, and features and predictions follow as they would in the server; one of a feature
that is no field is put into the features, as a stale or wrong look-up table would be. Only columns that the model uses
are drawn: those of which another value changes a monitored column. The event time and the identifier are left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.backtest.past import Past
from tabular_bento.evaluation.reference.package import Reference
from tabular_bento.features.columns import ColumnRows
from tabular_bento.schema import Field, Kind
from tabular_bento.scoring.predictor import Predictor
from tabular_bento.tasks import Classification

LEAST_SHARE = 0.1
"""Of the rows, that a category which disappears holds at least."""

GAPS = 0.1
"""Of the rows, that lack a value more than before."""

STRENGTH = 1.5
"""What one of the heaviest features is multiplied with."""

HEAVIEST = 5

LABEL_SHIFT = 0.25
"""Standard deviations of the labels that these are moved by."""

ACCEPTED = 0.99
"""Of converted values, that the schema must accept: a server refuses the others, and they never come into the log."""

CONVERSIONS: dict[str, tuple[tuple[str, float, float], ...]] = {
    "minutes": (("hours", 1 / 60, 0.0), ("seconds", 60.0, 0.0)),
    "degrees F": (("degrees C", 5 / 9, -160 / 9), ("kelvins", 5 / 9, 273.15 - 160 / 9)),
    "degrees": (("radians", np.pi / 180, 0.0),),
    "mph": (("km/h", 1.609344, 0.0), ("m/s", 0.44704, 0.0), ("knots", 0.868976, 0.0)),
    "inches": (("mm", 25.4, 0.0), ("cm", 2.54, 0.0)),
    "miles": (("km", 1.609344, 0.0), ("feet", 5280.0, 0.0)),
    "feet": (("m", 0.3048, 0.0),),
    "millibars": (("kPa", 0.1, 0.0), ("inHg", 0.02953, 0.0), ("mmHg", 0.750062, 0.0)),
}
"""By a field's unit, what else its values may come in: name, factor, and what is added."""


@dataclass(frozen=True)
class Shift:
    """A drawn shift: its kind, what it does in words, which rows it leaves, and what it makes of them."""

    kind: str
    what: str
    alter: Callable[[Past], Past]
    leaves: Callable[[Past], NDArray[np.bool_]] | None = None

    def window(self, pool: Past, rows: int, rng: np.random.Generator) -> Past:
        """`rows` random rows of the pool with the shift, or as many as it leaves; for no rows, all of the pool."""
        left = np.flatnonzero(self.leaves(pool)) if self.leaves else np.arange(len(pool))
        chosen = np.sort(rng.choice(left, min(rows, len(left)), replace=False)) if rows else left
        return self.alter(pool.where(chosen))


@dataclass(frozen=True)
class World:
    """What shifts are drawn from: the model, its reference, and the rows the reference was made of."""

    predictor: Predictor
    reference: Reference
    rows: Past

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The fields of which another value changes a monitored column."""
        declaration, rows = self.rows.declaration, self.rows.where(np.arange(0, len(self.rows), len(self.rows) // 500))
        apart = (declaration.identifier, declaration.event_time)
        before, found = rows.monitored(), []
        for item in declaration.fields:
            if item.name in apart:
                continue
            now = rows.with_values(self.predictor, **{item.name: np.roll(rows.columns[item.name], 7)}).monitored()
            same = all(np.array_equal(now[name], before[name], equal_nan=now[name].dtype.kind == "f") for name in now)
            if not same:
                found.append(item)
        return tuple(found)

    @cached_property
    def categories(self) -> list[tuple[str, str]]:
        """The fields of text and their values that hold at least `LEAST_SHARE` of the rows."""
        found = []
        for item in self.fields:
            if item.kind is Kind.TEXT:
                values = [value or "" for value in self.rows.columns[item.name].tolist()]
                names, counts = np.unique(values, return_counts=True)
                found += [(item.name, str(name)) for name in names[counts >= LEAST_SHARE * len(values)] if name]
        return found

    @cached_property
    def conversions(self) -> list[tuple[Field, str, float, float]]:
        """The units that the schema accepts most values in, by field."""
        found = []
        for item in self.fields:
            for name, factor, added in CONVERSIONS.get(item.unit or "", ()) if item.kind is Kind.NUMBER else ():
                values = self.rows.columns[item.name]
                known = values[~np.isnan(values)] * factor + added
                if _accepted(item, known).mean() >= ACCEPTED:
                    found.append((item, name, factor, added))
        return found

    @cached_property
    def heaviest(self) -> list[str | None]:
        """The features of the most importance, and None for the offset."""
        features = sorted(
            (one for one in self.reference.columns if one.role in ("feature", "input")), key=lambda one: -one.importance
        )
        names = [one.name for one in features[:HEAVIEST]]
        return [*names, None] if self.rows.declaration.offset else list(names)


def kinds(world: World) -> list[str]:
    """The kinds of shifts that there is something to draw of."""
    drawable = {
        "a category gone": bool(world.categories),
        "a unit changed": bool(world.conversions),
        "gaps of 10 points more": any(item.optional for item in world.fields),
    }
    return [kind for kind in KINDS if drawable.get(kind, True)]


def draw(kind: str, world: World, rng: np.random.Generator) -> Shift:
    """A shift of a kind of `KINDS`."""
    return KINDS[kind](kind, world, rng)


def _one_of(options: Any, rng: np.random.Generator) -> Any:
    return options[int(rng.integers(len(options)))]


def _gone(kind: str, world: World, rng: np.random.Generator) -> Shift:
    name, value = _one_of(world.categories, rng)
    return Shift(kind, f"{name} {value}", lambda past: past, lambda past: past.columns[name] != value)


def _unit(kind: str, world: World, rng: np.random.Generator) -> Shift:
    item = _one_of(list(dict.fromkeys(one[0] for one in world.conversions)), rng)
    _, unit, factor, added = _one_of([one for one in world.conversions if one[0] == item], rng)

    def converted(past: Past) -> NDArray[np.float64]:
        return np.asarray(past.columns[item.name] * factor + added)

    return Shift(
        kind,
        f"{item.name} in {unit}",
        lambda past: past.with_values(world.predictor, **{item.name: converted(past)}),
        lambda past: np.isnan(past.columns[item.name]) | _accepted(item, converted(past)),
    )


def _gaps(kind: str, world: World, rng: np.random.Generator) -> Shift:
    item = _one_of([one for one in world.fields if one.optional], rng)
    seed = int(rng.integers(1 << 31))

    def alter(past: Past) -> Past:
        values = past.columns[item.name].copy()
        known = ~np.isnan(values) if values.dtype.kind == "f" else np.array([bool(value) for value in values])
        share = GAPS / max(known.mean(), GAPS)
        values[known & (np.random.default_rng(seed).random(len(values)) < share)] = item.missing
        return past.with_values(world.predictor, **{item.name: values})

    return Shift(kind, item.name, alter)


def _constant(kind: str, world: World, rng: np.random.Generator) -> Shift:
    item = _one_of(world.fields, rng)
    values = world.rows.columns[item.name]
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values[np.array([v is not None for v in values])]
    value = _one_of(known, rng)

    def alter(past: Past) -> Past:
        return past.with_values(
            world.predictor, **{item.name: np.full(len(past), value, dtype=past.columns[item.name].dtype)}
        )

    return Shift(kind, f"{item.name} is {value}", alter)


def _heavier(kind: str, world: World, rng: np.random.Generator) -> Shift:
    name, declaration = _one_of(world.heaviest, rng), world.rows.declaration
    field = str(declaration.offset) if name is None else name
    what = f"the offset, {field}" if name is None else name
    numbers = {item.name for item in declaration.fields if item.kind.is_numeric}
    if field in numbers:
        return Shift(
            kind, what, lambda past: past.with_values(world.predictor, **{field: past.columns[field] * STRENGTH})
        )
    index = declaration.feature_names.index(field)

    def alter(past: Past) -> Past:
        features = past.features.copy()
        features[:, index] *= np.float32(STRENGTH)
        return with_features(past, world.predictor, features)

    return Shift(kind, what, alter)


def _labels(kind: str, world: World, rng: np.random.Generator) -> Shift:
    if world.rows.declaration.task.class_names:
        return _class_share(kind, world, rng)
    step = float(np.nanstd(world.rows.labels)) * LABEL_SHIFT * float(_one_of((-1, 1), rng))
    return Shift(
        kind, f"labels {step:+.1f}", lambda past: replace(past, data=replace(past.data, target=past.data.target + step))
    )


def _class_share(kind: str, world: World, rng: np.random.Generator) -> Shift:
    """Random labels become the rarest class, so that its share rises by `LABEL_SHIFT` deviations."""
    task, labels, seed = world.rows.declaration.task, world.rows.labels, int(rng.integers(1 << 31))
    assert isinstance(task, Classification)
    shares = np.bincount(labels[~np.isnan(labels)].astype(np.int64), minlength=len(task.class_names)) / len(labels)
    code = int(shares.argmin())
    moved = LABEL_SHIFT * float(np.sqrt(shares[code] * (1 - shares[code]))) / (1 - float(shares[code]))

    def alter(past: Past) -> Past:
        target = past.data.target.copy()
        target[np.random.default_rng(seed).random(len(target)) < moved] = task.labels(np.array([code]))[0]
        return replace(past, data=replace(past.data, target=target))

    return Shift(kind, f"{moved:.1%} of the labels become {task.class_names[code]}", alter)


KINDS: dict[str, Callable[[str, World, np.random.Generator], Shift]] = {
    "a category gone": _gone,
    "a unit changed": _unit,
    "gaps of 10 points more": _gaps,
    "a constant column": _constant,
    "a heavy feature or the offset times 1.5": _heavier,
    "labels moved by a quarter": _labels,
}


def with_features(past: Past, predictor: Predictor, features: NDArray[np.float32]) -> Past:
    """The same rows with other features, and the predictor's predictions of these."""
    rows = ColumnRows(past.columns, past.declaration.field_names)
    return replace(past, features=features, outputs=predictor.outputs(predictor.score(features, rows), rows))


def _accepted(item: Field, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    low, high = (np.inf * sign if bound is None else bound for bound, sign in ((item.minimum, -1), (item.maximum, 1)))
    return np.asarray((values >= low) & (values <= high))
