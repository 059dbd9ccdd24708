"""URIs that may be written down: passwords are read from the environment, and are in no message, log or package."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, unquote

from tabular_bento.errors import SourceError

HIDDEN = "***"

DATABASES = ("postgresql", "postgres")
"""Schemes of databases that have users."""

_SECRET_PARAMETER = re.compile(
    r"[\w-]*(?:pass(?:word|wd|phrase)|pwd|secret|token|signature|credential|(?:api|access|account)[-_]?key)[\w-]*|pass|sig",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(
    r"(\b[\w-]*(?:pass(?:word|wd|phrase)|pwd|secret)[\w-]*\s*=\s*)('(?:[^'\\]|\\.|'')*'|\"[^\"]*\"|[^\s&,;)']+)",
    re.IGNORECASE,
)
_USER_INFO = re.compile(r"(\w+://[^\s:/@'\"]*):[^\s'\"]*@")


def check_uri(uri: str) -> None:
    """Refuse a URI that holds a password, a token or a signature.

    Parameters
    ----------
    uri : str
        What a project's code, its settings or the command line name.

    Raises
    ------
    SourceError
        Where it holds one; the message does not.
    """
    if "://" in uri and secrets_of(uri):
        raise SourceError(
            f"{shown(uri)}: the URI holds a password or a key, and URIs are written into packages. Take it out, and "
            "set it in the environment, where the file system's or the database's driver looks for it: "
            "TABULAR_BENTO_DATABASE or PGPASSWORD of PostgreSQL, AWS_SECRET_ACCESS_KEY of S3."
        )


def secrets_of(uri: str) -> set[str]:
    """The passwords and keys in a URI, as they are spelt and as they are meant."""
    scheme, _, rest = uri.partition("://")
    holder = rest if scheme in DATABASES else re.split("[/?#]", rest)[0]
    found = {holder.rpartition("@")[0].partition(":")[2]}
    found |= {value for name, value in parse_qsl(uri.partition("?")[2]) if _SECRET_PARAMETER.fullmatch(name)}
    found |= {spelling(value) for value in found for spelling in (unquote, quote)}
    return found - {""}


def shown(uri: str) -> str:
    """A URI without user, password and parameters."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return uri
    holder = rest if scheme in DATABASES else re.split("[/?#]", rest)[0]
    without_user = rest[len(holder.rpartition("@")[0]) :].removeprefix("@")
    return f"{scheme}://{re.split('[?#]', without_user)[0]}"


def scrubbed(text: str, secrets: Iterable[str] = ()) -> str:
    """A text without secrets, and without what looks like a password.

    Parameters
    ----------
    text : str
        A query, or the message of a driver.
    secrets : iterable of str, optional
        What must not be in it.
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _ASSIGNED.sub(rf"\1{HIDDEN}", _USER_INFO.sub(rf"\1:{HIDDEN}@", text))
