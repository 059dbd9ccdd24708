"""The files of a project, written from the templates all at once or not at all."""

from __future__ import annotations

import shutil
import tempfile
import textwrap
from pathlib import Path
from typing import Any

from tabular_bento.errors import ScaffoldError
from tabular_bento.scaffold.choices import Choices
from tabular_bento.scaffold.declaring import problem_of, source_of, training_of
from tabular_bento.scaffold.locking import TEMPLATE, requirements
from tabular_bento.scaffold.names import problem_name
from tabular_bento.scaffold.reading import TableInput
from tabular_bento.scaffold.wheel import library_wheel, sha256_of

SUFFIX = ".jinja"

COPIED_BYTES = 64 << 20
"""A local file of up to this size is copied into the project, which then needs nothing beside itself."""

_RENAMED = {"gitignore": ".gitignore", "bentoignore": ".bentoignore", "github": ".github"}
_WIDTH = 120


def write_project(folder: Path, table: TableInput, choices: Choices, example: dict[str, Any]) -> Path:
    """Write a project.

    Parameters
    ----------
    folder : Path
        Where to; it must not be there yet, or be empty.
    table : TableInput
        The project's data.
    choices : Choices
        What is declared of them.
    example : dict
        A row in JSON values, by field.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ScaffoldError
        Where the folder is not empty, or cannot be written.
    """
    folder = folder.absolute()
    check_folder(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise ScaffoldError(f"{folder}: it cannot be written: {error}") from error
    try:
        draft.chmod(0o755)
        _fill(draft, folder.name, table, choices, example)
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
    except OSError as error:
        raise ScaffoldError(f"{folder}: it cannot be written: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds something.

    Raises
    ------
    ScaffoldError
        Naming the folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ScaffoldError(f"{folder} is there already: name a folder that is not there, or an empty one.")


def _fill(draft: Path, title: str, table: TableInput, choices: Choices, example: dict[str, Any]) -> None:
    wheel = library_wheel(draft / "wheels")
    pinned = f"./wheels/{wheel.name} --hash=sha256:{sha256_of(wheel)}\n"
    lock = "".join([*_LOCK_HEAD, pinned, *requirements(table.driver)])
    (draft / "requirements.txt").write_text(lock, encoding="utf-8")
    copied = _copy_data(table, draft)
    name = problem_name(title)
    values = {
        "title": title,
        **problem_of(name, table, choices, example),
        **source_of(table, choices, copied),
        **training_of(choices),
    }
    render(draft, values)


_LOCK_HEAD = (
    "# The library, and everything that it and the project need, by hash. No index is named: pip takes its own.\n",
)


def _copy_data(table: TableInput, draft: Path) -> str | None:
    """The path of the copy within the project; None where the data stay where they are."""
    path = table.path
    if path is None or not path.is_file() or path.stat().st_size > COPIED_BYTES:
        return None
    (draft / "data").mkdir()
    shutil.copyfile(path, draft / "data" / path.name)
    return f"data/{path.name}"


def render(folder: Path, values: dict[str, Any]) -> None:
    """Write every template into a folder.

    Parameters
    ----------
    folder : Path
        Where to.
    values : dict
        What the templates name.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(  # noqa: S701  # what is written is Python, TOML, YAML and Markdown
        loader=FileSystemLoader(TEMPLATE),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        variable_start_string="[[",
        variable_end_string="]]",
    )
    environment.filters["comment"] = commented
    for template in sorted(TEMPLATE.rglob(f"*{SUFFIX}")):
        parts = template.relative_to(TEMPLATE).parts
        target = folder.joinpath(*(_RENAMED.get(part.removesuffix(SUFFIX), part) for part in parts))
        target = target.with_name(target.name.removesuffix(SUFFIX))
        target.parent.mkdir(parents=True, exist_ok=True)
        text = environment.get_template("/".join(parts)).render(values)
        target.write_text(text, encoding="utf-8")


def commented(text: str, mark: str = "", indent: int = 0) -> str:
    """A text as a comment of Python or TOML, in lines that are not too long."""
    one_line = " ".join(text.split())
    begin = " " * indent + "# "
    return textwrap.fill(
        one_line,
        _WIDTH,
        initial_indent=begin + mark,
        subsequent_indent=begin + " " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )
