from __future__ import annotations

import re

import pytest
import xgboost

from tabular_bento.scoring.runners.ubjson import check_ubjson
from tabular_bento.testing.made_up import TASKS, made_up


@pytest.fixture(scope="module")
def model() -> bytes:
    data = made_up(TASKS[2])
    booster = xgboost.train({"objective": "multi:softprob", "num_class": 4}, xgboost.DMatrix(data.X, data.y), 2)
    return bytes(booster.save_raw("ubj"))


def test_a_model_is_a_document(model: bytes) -> None:
    check_ubjson(model)


def test_a_truncated_model_is_none(model: bytes) -> None:
    for length in range(0, len(model), 7):
        with pytest.raises(ValueError, match=r"truncated|no marker|no count"):
            check_ubjson(model[:length])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "truncated at byte 0"),
        (b'{"a": 1}', "byte 1 is no marker of a length"),
        (b"{i\x01aZ}Z", "ends at byte 6 of 7"),
        (b"[$d#i\x02" + bytes(7), "truncated at byte 13"),
        (b"[$d" + bytes(8), "no count"),
        (b"[#l\xff\xff\xff\xff", "below 0"),
        (b"[" * 100, "byte 64 is no marker"),
        (b"Si\x05abc", "truncated at byte 6"),
        (b"Y", "byte 0 is no marker"),
    ],
)
def test_other_bytes_are_none(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        check_ubjson(content)


@pytest.mark.parametrize(
    "content", [b"{i\x01aZi\x01bT}", b"[$d#i\x02" + bytes(8), b"[#i\x02U\x00SU\x02ab", b"L" + bytes(8)]
)
def test_whole_documents_pass(content: bytes) -> None:
    check_ubjson(content)
