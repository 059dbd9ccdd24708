"""Which model is the champion: the alias that a server follows, and the record of how it got there.

Beside the model store, under `<BENTOML_HOME>/releases/<model name>/`:

| file | what it holds |
|---|---|
| `champion.json` | the last record: replaced as a whole by a rename, so that it is the old one or the new one |
| `history.jsonl` | one line for each time the alias moved, oldest first |
| `lock` | held while the alias is moved |
| `evidence/` | the reports of the comparisons that the records name |

This module reads; `tabular_bento.scoring.ledger` writes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from tabular_bento.errors import PackageError

ALIAS = "champion"
"""The version that a server follows."""

FORMAT = 1

_MEND = "run `tabular-bento rollback --to TAG` with the tag that should serve"


def champion_tag(name: str) -> str:
    """The tag that a server of the model `name` follows."""
    return f"{name}:{ALIAS}"


@dataclass(frozen=True)
class Release:
    """One move of the alias: to which package, from which, by whom, when (UTC), and on what evidence.

    `action` is "release" or "rollback". `evidence` has a `kind`: "first release"; "compare", with `verdict`, `report`
    and its `sha256`; "forced", with a `reason`; or "rollback", with a `reason`.
    """

    number: int
    action: str
    time: str
    by: str
    tag: str
    fingerprint: str
    previous: str | None
    evidence: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The record that `to_json` wrote. Raises ValueError, KeyError or TypeError for anything else."""
        document = json.loads(text)
        if document.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        release = cls(**document)
        if not all(isinstance(value, str) and value for value in (release.tag, release.fingerprint, release.time)):
            raise ValueError("it names no package")
        if release.tag.count(":") != 1 or not isinstance(release.number, int):
            raise ValueError(f"{release.tag!r} is no tag of a package")
        return release

    def to_json(self) -> str:
        """The record on one line."""
        return json.dumps({"format": FORMAT, **asdict(self)}, allow_nan=False) + "\n"


class Releases:
    """The records of a model's releases.

    Parameters
    ----------
    home : Path
        The folder that holds the model store.
    name : str
        The model's name, which is that of its problem.
    """

    def __init__(self, home: Path, name: str) -> None:
        self.name = name
        self.folder = Path(home) / "releases" / name
        self.alias_file = self.folder / f"{ALIAS}.json"
        self.history_file = self.folder / "history.jsonl"
        self.evidence_folder = self.folder / "evidence"
        self._models = Path(home) / "models" / name

    def champion(self) -> Release | None:
        """The champion; None where nothing was ever released. Raises PackageError where its record is damaged."""
        try:
            return Release.from_json(self.alias_file.read_bytes())
        except FileNotFoundError:
            if self.history_file.exists():
                raise PackageError(
                    f"{self.alias_file} is gone although models were released: {_MEND}; "
                    "`tabular-bento history` lists them."
                ) from None
            return None
        except OSError as error:
            raise PackageError(
                f"{self.alias_file} cannot be read ({error.strerror or error}): grant access to it."
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PackageError(
                f"{self.alias_file} is damaged ({error}): {_MEND}; `tabular-bento history` lists them."
            ) from error

    def package_folder(self, tag: str) -> Path:
        """Where the package `tag` is kept."""
        return self._models / tag.split(":")[1]

    def locate(self, release: Release) -> Path:
        """The folder of a released package. Raises PackageError where it is no longer in the store."""
        folder = self.package_folder(release.tag)
        if not folder.is_dir():
            raise PackageError(
                f"The champion {release.tag}, released {release.time} by {release.by}, is not in the store any more: "
                "restore its package from a copy, or run `tabular-bento rollback`."
            )
        return folder

    def check(self, release: Release, fingerprint: str) -> None:
        """Raise PackageError where a package of that fingerprint is not the one that was released."""
        if fingerprint != release.fingerprint:
            raise PackageError(
                f"The package {release.tag} in the store is not the one that was released {release.time} by "
                f"{release.by}: restore it from a copy, or run `tabular-bento rollback`."
            )
