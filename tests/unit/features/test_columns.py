from __future__ import annotations

import numpy as np

from tabular_bento.features import Codes
from tabular_bento.features.columns import RepeatedTexts
from tabular_bento.features.state import UNKNOWN

TEXTS = RepeatedTexts(["Ulm", "Bonn", "??"], np.array([0, 0, 2, 1, 0]))


def test_it_is_the_sequence_of_its_texts() -> None:
    assert list(TEXTS) == TEXTS.tolist() == ["Ulm", "Ulm", "??", "Bonn", "Ulm"]
    assert (len(TEXTS), TEXTS[3], TEXTS[-1]) == (5, "Bonn", "Ulm")
    assert TEXTS[2:4].tolist() == ["??", "Bonn"]
    assert TEXTS[5:].tolist() == []


def test_a_vocabulary_has_the_same_codes_for_it_as_for_a_list() -> None:
    vocabulary = Codes(["Aalen", "Bonn", "Ulm"])
    assert vocabulary.codes(TEXTS).tolist() == vocabulary.codes(TEXTS.tolist()).tolist() == [3, 3, UNKNOWN, 2, 3]
    assert vocabulary.codes(TEXTS[5:]).tolist() == []
