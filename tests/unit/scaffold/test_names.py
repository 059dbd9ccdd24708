from __future__ import annotations

import keyword

import pytest
from pydantic import BaseModel

from tabular_bento.scaffold.names import field_names, problem_name
from tabular_bento.tasks.base import RESERVED


def test_a_name_that_will_do_is_kept() -> None:
    assert field_names(["age", "Monthly", "x_1"]) == {"age": "age", "Monthly": "Monthly", "x_1": "x_1"}


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("Total Charges ($)", "total_charges"),
        ("1st floor", "n_1st_floor"),
        ("class", "the_class"),
        ("model", "the_model"),
        ("Größe", "grosse"),
        ("été", "ete"),
        ("_x", "x"),
        ("", "column_1"),
        ("€", "column_1"),
        ("copy", "the_copy"),
    ],
)
def test_any_other_becomes_an_identifier(column: str, name: str) -> None:
    assert field_names([column]) == {column: name}


def test_names_are_distinct_whatever_their_case() -> None:
    columns = ["a b", "A B", "a_b", "A_b", "a-b", "X", "x"]
    names = list(field_names(columns).values())
    assert len({name.lower() for name in names}) == len(columns)
    assert field_names(columns)["a_b"] == "a_b", "a name that will do is not taken from its column"


def test_no_name_is_one_that_something_else_has() -> None:
    taken = [*RESERVED, *keyword.kwlist, *vars(BaseModel), "model_dump", "model_validate_json"]
    for name in field_names(taken).values():
        assert name.isidentifier()
        assert not keyword.iskeyword(name)
        assert name not in RESERVED
        assert not hasattr(BaseModel, name)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("churn", "churn"),
        ("My Project_2", "my-project-2"),
        ("___", "project"),
        ("é", "project"),
        ("2024", "project-2024"),
    ],
)
def test_a_problem_is_named_by_its_folder(folder: str, name: str) -> None:
    assert problem_name(folder) == name
