"""A project made with this library: where its declaration, data source and settings are."""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from tabular_bento.errors import ProjectError
from tabular_bento.problem import Problem

TABLE = "tool.tabular-bento"


@dataclass(frozen=True)
class Project:
    """A folder whose pyproject.toml has a table `[tool.tabular-bento]`.

    Parameters
    ----------
    root : Path
        The folder.
    problem : str
        ``module:NAME`` of its `Problem`.
    source : str, optional
        ``module:NAME`` of its data source, which training needs.
    training, monitoring : Path, optional
        Its settings of training and monitoring, TOML files.
    """

    root: Path
    problem: str
    source: str | None = None
    training: Path | None = None
    monitoring: Path | None = None

    @classmethod
    def find(cls, start: Path | None = None) -> Project:
        """The project of a folder: the nearest one, looked for in it and above it.

        Raises
        ------
        ProjectError
            Where there is none, or its table is not as it should be.
        """
        folder = (start or Path.cwd()).absolute()
        for root in (folder, *folder.parents):
            table = _table(root / "pyproject.toml")
            if table is not None:
                return cls._of(root, table)
        raise ProjectError(
            f"There is no project in {folder} or above it. Go to the folder of a project, whose pyproject.toml has a "
            f"table [{TABLE}], or make a project: `tabular-bento new DIR --from TABLE --target COLUMN`."
        )

    @classmethod
    def _of(cls, root: Path, table: dict[str, Any]) -> Project:
        where = f"[{TABLE}] of {root / 'pyproject.toml'}"
        if unknown := sorted(set(table) - {"problem", "source", "training", "monitoring"}):
            raise ProjectError(
                f"{where} has the unknown key {unknown[0]!r}; problem, source, training, monitoring are read."
            )
        if wrong := [key for key, value in table.items() if not isinstance(value, str)]:
            raise ProjectError(f"{where}: {wrong[0]} must be a string.")
        if "problem" not in table:
            raise ProjectError(f'{where} lacks `problem`, such as "features.problem:PROBLEM".')
        files = {key: root / table[key] for key in ("training", "monitoring") if key in table}
        return cls(root, table["problem"], table.get("source"), **files)

    def load_problem(self) -> Problem:
        """The project's declaration.

        Raises
        ------
        ProjectError
            Where it cannot be imported or is something else.
        """
        problem = self._load(self.problem, "problem")
        if not isinstance(problem, Problem):
            raise ProjectError(f"{self.problem} of {self.root} is no Problem but a {type(problem).__name__}.")
        return problem

    def load_source(self) -> Any:
        """The project's data source.

        Raises
        ------
        ProjectError
            Where there is none or it cannot be imported.
        """
        if self.source is None:
            raise ProjectError(f"[{TABLE}] of {self.root / 'pyproject.toml'} lacks `source`, which training needs.")
        return self._load(self.source, "source")

    def _load(self, name: str, what: str) -> Any:
        module, _, attribute = name.partition(":")
        root = str(self.root)
        if sys.path[:1] != [root]:
            sys.path.insert(0, root)
        try:
            return getattr(import_module(module), attribute or what.upper())
        except (ImportError, AttributeError) as error:
            raise ProjectError(f"The {what} {name} of {self.root} cannot be imported: {error}.") from error


def _table(path: Path) -> dict[str, Any] | None:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ProjectError(f"{path} cannot be read: {error}.") from error
    table = document.get("tool", {}).get("tabular-bento")
    return table if isinstance(table, dict) else None
