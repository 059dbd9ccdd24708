"""Archives of skops: written in equal bytes for equal models, and checked before anything in them is built."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Callable, Collection
from typing import Any

SCHEMA = "schema.json"

MOST_FILES = 200_000
FREELY_UNPACKED = 256 << 20
MOST_UNPACKED = 16 << 30
MOST_RATIO = 100
"""An archive may unpack to `FREELY_UNPACKED` bytes, to more where that is at most `MOST_RATIO` times its size, and in
no case to more than `MOST_UNPACKED`."""

LIBRARIES = ("sklearn.", "numpy.", "scipy.")
"""Types of these libraries may be built without anybody's approval, but for what follows."""

NOT_BY_ITSELF = (
    "sklearn.tree._tree.",  # nodes index memory unchecked: a crafted tree ends the process
    "sklearn.ensemble._hist_gradient_boosting.predictor.",
    "sklearn.datasets.",
    "sklearn.externals.",
    "sklearn.utils._testing.",
    "numpy.ctypeslib.",
    "numpy.distutils.",
    "numpy.f2py.",
    "numpy.lib.",
    "numpy.testing.",
    "scipy._lib.",
    "scipy.io.",
)
"""Of these they may not: they reach files, compilers or memory."""

HARMLESS = frozenset(
    {
        "collections.Counter",
        "collections.OrderedDict",
        "collections.defaultdict",
        "collections.deque",
        "datetime.date",
        "datetime.datetime",
        "datetime.timedelta",
        "datetime.timezone",
        "decimal.Decimal",
        "fractions.Fraction",
        "functools.partial",
        "zoneinfo.ZoneInfo",
    }
)
"""What of Python itself may be approved; all else, such as `os.system` and `operator.methodcaller`, never."""


def check_archive(content: bytes) -> None:
    """Refuse what is no whole archive of skops, or unpacks to far more than it holds. Nothing is unpacked.

    Raises
    ------
    ValueError
        With what is wrong.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise ValueError(f"it is no archive of skops, or is truncated: {error}") from error
    names = [entry.filename for entry in entries]
    if SCHEMA not in names:
        raise ValueError(f"it is no archive of skops: it has no {SCHEMA}")
    if len(names) > MOST_FILES or len(set(names)) < len(names):
        raise ValueError(f"it holds {len(names):,} files, some of them twice or too many")
    size, packed = sum(entry.file_size for entry in entries), sum(entry.compress_size for entry in entries)
    if packed > len(content) or size > max(FREELY_UNPACKED, min(MOST_RATIO * len(content), MOST_UNPACKED)):
        raise ValueError(f"its {len(content):,} bytes would unpack to {size:,}: it is made to fill the memory")


def unknown_types(content: bytes) -> list[str]:
    """The types of an archive that skops does not trust by itself, in order; nothing is built.

    Raises
    ------
    ValueError
        Where the archive cannot be read.
    """
    import skops.io

    check_archive(content)
    try:
        return sorted(skops.io.get_untrusted_types(data=content))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError, zipfile.BadZipFile) as error:
        raise ValueError(f"it cannot be read ({type(error).__name__}: {error})") from error


def is_library_type(name: str) -> bool:
    """Whether a type may be built without approval: a class of scikit-learn, NumPy or SciPy, and no function."""
    if name == "numpy.dtype":
        return True
    last = name.rpartition(".")[2].lstrip("_")
    return name.startswith(LIBRARIES) and not name.startswith(NOT_BY_ITSELF) and last[:1].isupper()


def is_forbidden(name: str) -> bool:
    """Whether a type may not be built whoever approves it: of Python itself, but for a few, or of no module."""
    root = name.partition(".")[0]
    return name not in HARMLESS and (root in sys.stdlib_module_names or root in ("builtins", "__main__", ""))


def build(content: bytes, types: Collection[str], approved: Collection[str]) -> Any:
    """The object that an archive holds.

    Parameters
    ----------
    content : bytes
        The archive.
    types : collection of str
        The types that it is known to hold beyond those that skops trusts.
    approved : collection of str
        Those of them that somebody approved, as they are no types of a library.

    Raises
    ------
    ValueError
        For a type that is forbidden, not known, or neither approved nor of a library; nothing is built then.
    """
    import skops.io

    found = unknown_types(content)
    trusted = {name for name in types if not is_forbidden(name) and (is_library_type(name) or name in approved)}
    if refused := [name for name in found if name not in trusted]:
        raise ValueError(f"it holds the types {', '.join(refused)}, which are not trusted")
    return skops.io.loads(content, trusted=found)


def canonical(content: bytes) -> bytes:
    """The same archive with objects numbered in their order instead of by address, and without the time of writing."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(files.pop(SCHEMA))
    numbers: dict[str, int] = {}

    def number(address: Any) -> int:
        return numbers.setdefault(str(address), len(numbers))

    def walk(node: Any) -> None:
        for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            walk(value)
        if isinstance(node, dict) and isinstance(node.get("__id__"), int):
            node["__id__"] = number(node["__id__"])
        if isinstance(node, dict) and node.get("file") in files:
            node["file"] = renamed.setdefault(node["file"], _numbered(node["file"], number))

    renamed: dict[str, str] = {}
    walk(schema)
    files = {renamed[name]: data for name, data in files.items()}
    files[SCHEMA] = json.dumps(schema, indent=1).encode()
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name), data)  # dated 1980
    return written.getvalue()


def _numbered(name: str, number: Callable[[str], int]) -> str:
    stem, dot, rest = name.partition(".")
    return f"{number(stem)}{dot}{rest}"
