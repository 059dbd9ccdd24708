"""Whether bytes are one whole document of Universal Binary JSON, which XGBoost's models are.

XGBoost reads beyond the end of a truncated file, and may end the process with it.
"""

from __future__ import annotations

from typing import NoReturn

SIZES = {b"Z": 0, b"T": 0, b"F": 0, b"i": 1, b"U": 1, b"C": 1, b"I": 2, b"l": 4, b"d": 4, b"L": 8, b"D": 8}
"""Bytes behind the marker of each value of one size."""

_INTEGERS = (b"i", b"U", b"I", b"l", b"L")
_DEEPEST = 64


def check_ubjson(content: bytes) -> None:
    """Walk over a document.

    Parameters
    ----------
    content : bytes
        The document.

    Raises
    ------
    ValueError
        Where it is truncated, something follows it, or it is none.
    """
    end = _value(content, 0, 0)
    if end != len(content):
        raise ValueError(f"it ends at byte {end} of {len(content)}")


def _value(content: bytes, place: int, depth: int) -> int:
    """The place behind the value whose marker is at `place`."""
    marker = content[place : place + 1]
    place += 1
    if marker in SIZES:
        place += SIZES[marker]
        return place if place <= len(content) else _truncated(content)
    if marker in (b"S", b"H"):
        return _text(content, place)
    if marker in (b"[", b"{") and depth < _DEEPEST:
        return _container(content, place, marker == b"{", depth + 1)
    if not marker:
        _truncated(content)
    raise ValueError(f"byte {place - 1} is no marker of a value")


def _container(content: bytes, place: int, named: bool, depth: int) -> int:
    kind, count = b"", None
    if content[place : place + 1] == b"$":
        kind, place = content[place + 1 : place + 2], place + 2
    if content[place : place + 1] == b"#":
        count, place = _integer(content, place + 1)
    if kind and (count is None or kind not in SIZES or named):
        raise ValueError(f"the array before byte {place} has no count, or values of no size")
    if kind and count is not None:
        place += count * SIZES[kind]
        return place if place <= len(content) else _truncated(content)
    closing = b"}" if named else b"]"
    while count is None or count > 0:
        if count is None and content[place : place + 1] == closing:
            return place + 1
        if named:
            place = _text(content, place)
        place = _value(content, place, depth)
        count = None if count is None else count - 1
    return place


def _text(content: bytes, place: int) -> int:
    length, place = _integer(content, place)
    return place + length if place + length <= len(content) else _truncated(content)


def _integer(content: bytes, place: int) -> tuple[int, int]:
    """A length at `place`, and the place behind it."""
    marker = content[place : place + 1]
    if marker not in _INTEGERS:
        raise ValueError(f"byte {place} is no marker of a length")
    end = place + 1 + SIZES[marker]
    if end > len(content):
        _truncated(content)
    found = int.from_bytes(content[place + 1 : end], "big", signed=marker != b"U")
    if found < 0:
        raise ValueError(f"the length at byte {place} is below 0")
    return found, end


def _truncated(content: bytes) -> NoReturn:
    raise ValueError(f"it is truncated at byte {len(content)}")
