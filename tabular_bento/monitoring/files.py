"""Files of monitoring: results, which are strict JSON and there whole or not at all, and the project's settings."""

from __future__ import annotations

import fcntl
import os
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from tabular_bento.environment import unknown_variables
from tabular_bento.errors import ConfigError


class Part(BaseModel):
    """A part of a result that is written as JSON: strict, without NaN and Infinity, and not to be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def to_json(self) -> str:
        """Strict JSON, indented."""
        return self.model_dump_json(indent=1) + "\n"


def write_whole(path: Path, content: str) -> None:
    """Write UTF-8 text in one step: a reader sees the former file or the new one. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # as of any file; mkstemp's own are for their user alone
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    """What the process takes from the permissions of new files; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that goes with `path`, so that of several processes one at a time changes it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def read_settings(path: Path | None, table: str) -> dict[str, Any]:
    """A table of a project's settings of monitoring, a TOML file; empty where there is no file or no such table.

    Parameters
    ----------
    path : Path, optional
        The file that `[tool.tabular-bento]` names.
    table : str
        Such as `drift`.

    Raises
    ------
    ConfigError
        Where the file cannot be read, or holds something else under that name.
    """
    if path is None:
        return {}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")).get(table, {})
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: {table!r} must be a table, as [{table}].")
    return found


def check_variables(prefix: str, known: Iterable[str]) -> None:
    """Refuse a variable of the environment that has the prefix of a job's settings and is none of them.

    Raises
    ------
    ConfigError
        With its name, and the setting that is most like it.
    """
    for message in unknown_variables(known, prefix):
        raise ConfigError(message)


Settings = TypeVar("Settings", bound=BaseModel)


def settings_of(
    kind: type[Settings],
    given: Mapping[str, Any],
    file: Mapping[str, Any] = MappingProxyType({}),
    where: str = "",
    *,
    whole: bool = False,
) -> Settings:
    """Settings of that kind: those given as options come before the environment's, and these before the file's.

    Parameters
    ----------
    kind : type
        A model of settings; those that come from the environment have a prefix there.
    given : mapping
        Settings by name, of which None are not given.
    file : mapping
        Those of the project's file.
    where : str
        What stands before the names of the file's settings in messages, such as `[drift] of FILE: `.
    whole : bool
        Whether the file's settings are of this kind alone, so that any other name is wrong.

    Raises
    ------
    ConfigError
        A message that names the option, the variable or the line that is wrong.
    """
    prefix = str(kind.model_config.get("env_prefix", ""))
    options = {name: value for name, value in given.items() if value is not None}
    variables = {name for name in kind.model_fields if prefix + name.upper() in os.environ}
    written = {name: file[name] for name in file if (whole or name in kind.model_fields) and name not in variables}
    try:
        return kind(**{**written, **options})
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise ConfigError(message) from error
        name = str(first["loc"][0])
        if name in options:
            place = OPTIONS.get(name, f"--{name.replace('_', '-')}")
        else:
            place = f"{where}{name}" if name in written else prefix + name.upper()
        inside = ".".join(str(part) for part in first["loc"][1:])
        if inside and first["type"] == "extra_forbidden":
            parts = (part for part in get_args(kind.model_fields[name].annotation) if hasattr(part, "model_fields"))
            known = ", ".join(field for part in parts for field in part.model_fields)
            raise ConfigError(f"{place}.{inside}: there is no such setting; there are: {known}.") from error
        raise ConfigError(f"{place}{f'.{inside}' if inside else ''}: {message}") from error


OPTIONS = {"alert_of": "--of", "start": "--from", "end": "--to", "on": "--window-on"}
"""Options that are not named as their setting."""
