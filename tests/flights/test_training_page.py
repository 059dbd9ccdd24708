"""The tables of settings in docs/train.md are those of the code; `make docs` writes them."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator

from pydantic import BaseModel

from tabular_bento.data.splits import Split
from tabular_bento.scoring.runners import BUILT_IN, runner_class
from tabular_bento.training.config import AutoParameters, TrainingConfig
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "train.md"
WITHOUT_TABLE = ("pipeline",)
"""Runners that have no parameters."""


def table(head: str, model: type[BaseModel]) -> str:
    """A table of the settings of a model: name, default, documentation."""
    lines = [f"| {head} | default | |", "|---|---|---|"]
    for name, text in documented(model):
        field = model.model_fields[name]
        default = "" if field.is_required() else shown(field.get_default(call_default_factory=True))
        lines.append(f"| `{name}` | {default} | {text} |")
    return "\n".join(lines) + "\n"


def shown(value: object) -> str:
    if isinstance(value, Split):
        return "see below"
    if value is None or value in ({}, ()):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{list(value) if isinstance(value, tuple) else value!r}`".replace("'", '"')


def documented(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """The fields of a model with the string below each."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(body, ast.ClassDef)
    for field, text in zip(body.body, body.body[1:], strict=False):
        is_field = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        name = field.target.id if is_field else ""
        if name in model.model_fields and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            yield name, " ".join(str(text.value.value).split()).replace("|", r"\|")


def tables() -> Iterator[str]:
    yield table("setting", TrainingConfig)
    yield table("setting of the split", Split)
    yield table("setting of auto", AutoParameters)
    for kind in BUILT_IN:
        if kind not in WITHOUT_TABLE:
            yield table(f"parameter of {kind}", runner_class(kind).Parameters)


def made(page: str) -> str:
    for one in tables():
        head = re.escape(one[: one.index("\n")])
        assert re.search(rf"^{head}$", page, re.MULTILINE), head
        page = re.sub(rf"^{head}\n(?:\|.*\n)*", lambda _, one=one: one, page, flags=re.MULTILINE)
    return page


def test_the_page_has_every_setting_as_the_code_documents_it() -> None:
    assert made(PAGE.read_text()) == PAGE.read_text(), "run `make docs`"


def test_every_runner_is_on_the_page() -> None:
    for kind in BUILT_IN:
        assert f"| `{kind}` |" in PAGE.read_text(), kind


if __name__ == "__main__":
    PAGE.write_text(made(PAGE.read_text()))
