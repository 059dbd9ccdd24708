from __future__ import annotations

import numpy as np

from features.state import UNKNOWN, Vocabulary
from features.texts import RepeatedTexts

TEXTS = RepeatedTexts(["UA", "B6", "??"], np.array([0, 0, 2, 1, 0]))


def test_it_is_the_sequence_of_its_texts() -> None:
    assert list(TEXTS) == TEXTS.tolist() == ["UA", "UA", "??", "B6", "UA"]
    assert (len(TEXTS), TEXTS[3], TEXTS[-1]) == (5, "B6", "UA")
    assert TEXTS[2:4].tolist() == ["??", "B6"]
    assert TEXTS[5:].tolist() == []


def test_a_vocabulary_has_the_same_codes_for_it_as_for_a_list() -> None:
    vocabulary = Vocabulary(["AA", "B6", "UA"])
    assert vocabulary.codes(TEXTS).tolist() == vocabulary.codes(TEXTS.tolist()).tolist() == [3, 3, UNKNOWN, 2, 3]
    assert vocabulary.codes(TEXTS[5:]).tolist() == []
