"""The environment of this process, for messages: variables that look like settings and are none, such as misspelt ones,
and the command that installs what is missing.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path

PREFIX = "TABULAR_BENTO_"
"""What the names of all variables begin with that this library reads."""

READ_BY_COMMANDS = ("DATABASE", "DATA_CACHE_DIR", "GRPC_PORT", "MEMORY_LIMIT", "TRAFFIC_DIR", "TRAFFIC_RETENTION_DAYS")
"""Names without the prefix of variables that commands read, beside the settings of the drift job and of comparisons."""

OF_JOBS = (f"{PREFIX}DRIFT_", f"{PREFIX}COMPARE_")
"""Beginnings of names that are the settings of a job, which looks at them itself."""

_OF_A_SERVICE = re.compile(r"(_SERVICE_HOST|_SERVICE_PORT(_[A-Z0-9_]+)?|_PORT_\d+_(TCP|UDP|SCTP)(_[A-Z]+)?)$")
"""Ends of the names that Kubernetes gives to each pod for a Service, which may be named as this library is."""

_WHEELS, _LOCK = "wheels", "requirements.txt"
"""What a project that `tabular-bento new` made has beside its environment."""


def unknown_variables(known: Iterable[str], prefix: str = PREFIX) -> Iterator[str]:
    """A message for each variable of the environment that has a prefix and is not read.

    Those that Kubernetes sets for a Service are passed over.

    Parameters
    ----------
    known : iterable of str
        Names that are read, without the prefix, in any case.
    prefix : str
        Such as `TABULAR_BENTO_DRIFT_`.

    Yields
    ------
    str
        The variable's name, and the known one that is most like it.
    """
    names = sorted({name.upper() for name in known})
    for name, value in os.environ.items():
        of_service = _OF_A_SERVICE.search(name) or (name.endswith("PORT") and "://" in value)
        if not name.startswith(prefix) or name.removeprefix(prefix) in names or of_service:
            continue
        if prefix == PREFIX and name.startswith(OF_JOBS):
            continue
        near = get_close_matches(name.removeprefix(prefix), names, n=1)
        what = (
            f"; did you mean {prefix}{near[0]}?" if near else f": {prefix} is for the settings of tabular-bento alone."
        )
        yield f"{name} in the environment is no setting{what}"


def pip_install_command(requirement: str) -> str:
    """The command that installs a requirement where this process runs.

    In the environment of a project that `tabular-bento new` made, which `make` builds from a lock that lacks it, that
    is the environment's own pip.

    Parameters
    ----------
    requirement : str
        Such as `tabular-bento[keras]`.
    """
    quoted = f"'{requirement}'" if "[" in requirement else requirement
    python, root = Path(sys.prefix) / "bin" / "python", Path(sys.prefix).parent
    if not ((root / _WHEELS).is_dir() and (root / _LOCK).is_file()):
        return f"pip install {quoted}"
    here = Path.cwd()
    shown = python.relative_to(here) if python.is_relative_to(here) else python
    return f"{shown} -m pip install {quoted}"
