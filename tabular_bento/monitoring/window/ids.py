"""Prediction ids as numbers, and a sample of rows that is drawn by them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Keys = NDArray[np.uint64]

_STEP = np.uint64(0x9E3779B97F4A7C15)
_ODD = 0xBF58476D1CE4E5B9


def keys_of(ids: pa.Array) -> Keys:
    """The key of each of n ids, strings without nulls; shape [n].

    The same in every process and in every order. Two of ten million different ids share a key with a probability of
    3 in a million, so rows are joined by twice as many bits (`key_pairs`).
    """
    return _first_half(_words(ids))


def key_pairs(ids: pa.Array) -> tuple[Keys, Keys]:
    """Each id as 128 bits, of which the first half is its key; shape [n] each."""
    words = _words(ids)
    second = np.zeros(len(words), dtype=np.uint64)
    for index in range(words.shape[1]):  # like the first half, it does not depend on zeros after the id
        mixed = words[:, index] * np.uint64(_ODD + 2 * index)
        second += (mixed ^ (mixed >> np.uint64(29))) * _STEP
    return _first_half(words), second


def _first_half(words: Keys) -> Keys:
    keys = np.zeros(len(words), dtype=np.uint64)
    for index in range(words.shape[1]):
        word = words[:, index]
        keys += np.where(word == 0, np.uint64(0), scramble(word, index + 1))
    return scramble(keys, 0)


def scramble(keys: Keys, seed: int) -> Keys:
    """Another number for each key, as good as random; one-to-one for a given seed.

    The finalizer of SplitMix64: Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    with np.errstate(over="ignore"):
        mixed = keys + np.uint64((seed + 1) % 2**64) * _STEP
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def contains(sorted_keys: Keys, keys: Keys) -> NDArray[np.bool_]:
    """Which of n keys are among the sorted ones, shape [n]."""
    if not len(sorted_keys):
        return np.zeros(len(keys), dtype=np.bool_)
    indices = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return np.asarray(sorted_keys[indices] == keys)


class Sample:
    """A uniform sample of `size` rows: those whose scrambled keys are smallest. Of rows with one key it holds one."""

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._seed = size, seed
        self._ranks: Keys = np.empty(0, dtype=np.uint64)
        self._rows: pa.Table | None = None

    def add(self, keys: Keys, batch: pa.RecordBatch) -> None:
        """Offer the rows of a batch."""
        ranks = scramble(keys, self._seed)
        if len(self._ranks) == self._size:
            near = ranks < self._ranks[-1]
            if not near.any():
                return
            ranks, batch = ranks[near], batch.filter(pa.array(near))
        self._keep(ranks, pa.Table.from_batches([batch]))

    def merge(self, other: Sample) -> None:
        """Offer the rows that another sample of the same size and seed holds."""
        if other._rows is not None:
            self._keep(other._ranks, other._rows)

    def rows(self) -> pa.Table:
        """The rows drawn, in an order that is as good as random; a table without columns where none was offered."""
        return self._rows if self._rows is not None else pa.table({})

    def _keep(self, ranks: Keys, table: pa.Table) -> None:
        ranks = np.concatenate([self._ranks, ranks])
        table = pa.concat_tables([self._rows, table]) if self._rows is not None else table
        self._ranks, first = np.unique(ranks, return_index=True)
        self._ranks = self._ranks[: self._size]
        self._rows = table.take(pa.array(first[: self._size])).combine_chunks()


def _words(ids: pa.Array) -> Keys:
    """The bytes of n texts as numbers of eight bytes, shape [n, words]."""
    texts = _texts(ids)
    return texts.view(np.uint64).reshape(len(texts), texts.shape[1] // 8)


def _texts(ids: pa.Array) -> NDArray[np.uint8]:
    """The bytes of n texts, filled up with zeros to a multiple of eight, at least eight; shape [n, bytes]."""
    offsets = np.frombuffer(ids.buffers()[1] or b"\0\0\0\0", np.int32)[ids.offset : ids.offset + len(ids) + 1]
    lengths = np.diff(offsets)
    longest = int(lengths.max(initial=0))
    width = -(-max(longest, 1) // 8) * 8
    texts = np.zeros((len(ids), width), dtype=np.uint8)
    if longest and (lengths == longest).all():  # the usual case, thirty times as fast
        content = np.frombuffer(ids.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
        texts[:, :longest] = content.reshape(len(ids), longest)
    else:
        encoded = np.array(ids.cast(pa.binary()).to_pylist(), dtype=f"S{width}")
        texts = encoded.view(np.uint8).reshape(len(ids), width)
    return texts
