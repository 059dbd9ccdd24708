from __future__ import annotations

import pytest

from features.definition import TARGET
from tabular_bento.protocol.predictions import Answers

OBJECTS = [
    {"prediction_id": "a", "id": "mine", TARGET.name: 1.5, "model": "flights:1"},
    {"prediction_id": "b", "id": None, TARGET.name: -2.0, "model": "flights:1"},
    {"prediction_id": "c", "id": "", TARGET.name: 0.0, "model": "flights:1"},
]
ANSWERS = Answers(["a", "b", "c"], ["mine", None, ""], [1.5, -2.0, 0.0], "flights:1")


def test_answers_are_a_sequence_of_objects_in_order() -> None:
    assert list(ANSWERS) == [ANSWERS[place] for place in range(3)] == OBJECTS
    assert (len(ANSWERS), ANSWERS[-1], repr(ANSWERS)) == (3, OBJECTS[2], repr(OBJECTS))
    with pytest.raises(IndexError):
        ANSWERS[3]


def test_the_part_of_one_request_is_answers_again() -> None:
    part = ANSWERS[1:3]
    assert isinstance(part, Answers)
    assert list(part) == OBJECTS[1:]
    assert part.column(TARGET.name) == [-2.0, 0.0]
    assert not ANSWERS[3:]


def test_a_column_has_the_values_of_one_key() -> None:
    for name in ("prediction_id", "id", TARGET.name):
        assert list(ANSWERS.column(name)) == [answer[name] for answer in OBJECTS]
