from __future__ import annotations

import httpx
import pytest

from tabular_bento.client.calls import check_response
from tabular_bento.errors import RefusedError


def test_what_another_kind_of_server_says_is_one_line() -> None:
    page = "<html>\n  <h1>Not found</h1>\n" + 900 * "x\n" + "</html>"
    with pytest.raises(RefusedError) as refused:
        check_response(httpx.Response(404, text=page))
    (line,) = str(refused.value).splitlines()
    assert line.startswith("<html> <h1>Not found</h1> x x")
    assert len(line) <= 500
