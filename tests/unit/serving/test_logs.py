from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from tabular_bento.serving.logs import JSONFormatter


def test_a_record_is_one_line_with_what_it_was_given_and_its_exception() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord("a.b", logging.ERROR, "f", 1, "%s failed", ("it",), sys.exc_info())
    record.__dict__ |= {"rows": 3, "component": "of BentoML", "path": Path("/x")}
    text = JSONFormatter().format(record)

    assert "\n" not in text
    line = json.loads(text)
    assert line.pop("exception").startswith("Traceback")
    assert line.pop("time").endswith("+00:00")
    assert line.pop("pid") > 0
    assert line == {"level": "ERROR", "logger": "a.b", "message": "it failed", "rows": 3, "path": "/x"}
