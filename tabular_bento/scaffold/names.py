"""Names that Python, requests and the model store allow, made of those of a table or a folder."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Iterable

from pydantic import BaseModel

from tabular_bento.tasks.base import RESERVED

_LONGEST = 60
_SPELT_OUT = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "Ae", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D"}
)
"""Letters that are no letter with an accent."""


def field_names(columns: Iterable[str]) -> dict[str, str]:
    """A field's name for each column of a table, the same one where it will do.

    Parameters
    ----------
    columns : iterable of str
        Distinct names.

    Returns
    -------
    dict
        Distinct identifiers by column.
    """
    columns = list(columns)
    found: dict[str, str] = {}
    taken: set[str] = set()
    for column in columns:
        if _allowed(column) and column.lower() not in taken:  # DuckDB tells no names apart by case
            found[column] = column
            taken.add(column.lower())
    for number, column in enumerate(columns, start=1):
        if column in found:
            continue
        base = name = _identifier(column, f"column_{number}")
        count = 1
        while name.lower() in taken or not _allowed(name):
            count += 1
            name = f"{base}_{count}"
        taken.add(name.lower())
        found[column] = name
    return {column: found[column] for column in columns}


def problem_name(folder: str) -> str:
    """The name of a problem whose project is in a folder of this name: that of a model, an image and a host."""
    name = re.sub(r"[^a-z0-9-]+", "-", folder.lower()).strip("-")[:_LONGEST].rstrip("-")
    return name if name[:1].isalpha() else f"project-{name}".strip("-")


def _allowed(name: str) -> bool:
    return (
        name.isidentifier()
        and name.isascii()
        and not name.startswith("_")
        and not keyword.iskeyword(name)
        and name not in RESERVED
        and not hasattr(BaseModel, name)
        and not name.startswith(("model_dump", "model_validate"))  # pydantic's own
        and len(name) <= _LONGEST
    )


def _identifier(column: str, otherwise: str) -> str:
    column = column.translate(_SPELT_OUT)
    plain = unicodedata.normalize("NFKD", column).encode("ascii", "ignore").decode()  # é without its accent
    name = re.sub(r"\W+", "_", plain).strip("_").lower()
    if not name:
        return otherwise
    if name[0].isdigit():
        name = f"n_{name}"
    name = name[: _LONGEST - 4].rstrip("_")
    return name if _allowed(name) else f"the_{name}"
