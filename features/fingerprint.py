"""Fingerprints that tell whether a model package and this checkout mean the same thing by a feature."""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path
from typing import Any

from features import definition
from features.functions import FEATURES

_ROOT = Path(__file__).resolve().parent.parent
_CODE = ("tabular_bento/schema.py", "tabular_bento/features/clock.py", "features/*.py")


def declaration() -> dict[str, Any]:
    """The declaration as plain JSON values, as it is kept in every model package."""
    return {
        "name": definition.NAME,
        "fields": [field.to_dict() for field in definition.FIELDS],
        "target": definition.TARGET.to_dict(),
        "known_part": definition.KNOWN_PART,
        "features": [{"name": item.name, "unit": item.unit, "description": item.description} for item in FEATURES],
    }


def declaration_fingerprint() -> str:
    """SHA-256 of the declaration, in hex."""
    return _sha256(json.dumps(declaration(), sort_keys=True).encode())


def code_fingerprint(root: Path = _ROOT) -> str:
    """SHA-256 of the code that features depend on, in hex; comments, docstrings and layout do not count."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _CODE for path in root.glob(pattern)):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(ast.dump(_without_docstrings(ast.parse(path.read_text()))).encode() + b"\0")
    return digest.hexdigest()


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                item for item in body if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))
            ]
    return tree


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
