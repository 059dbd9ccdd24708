from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.serving import ServedPort


@pytest.fixture(scope="module")
def document(server: ServedPort) -> dict[str, Any]:
    status, document = server.get("/docs.json")
    assert status == 200
    return dict(document)


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def types(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("type"), str):
            yield node["type"]
        for value in node.values():
            yield from types(value)
    elif isinstance(node, list):
        for value in node:
            yield from types(value)


def test_every_reference_of_the_openapi_description_resolves(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert found
    for reference in found:
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_the_openapi_description_says_a_version_that_knows_the_words_it_uses(document: dict[str, Any]) -> None:
    version = tuple(int(part) for part in document["openapi"].split("."))
    assert "null" not in set(types(document)) or version >= (3, 1, 0), "3.0 has `nullable`, and no type null"
    assert document["info"]["title"]
    assert document["info"]["version"]


def test_every_operation_of_the_openapi_description_tells_its_responses(document: dict[str, Any]) -> None:
    for path in ("/predict", "/feedback"):
        assert set(document["paths"][path]["post"]["responses"]) == {"200", "400", "413", "500", "503", "504"}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["responses"], f"{method} {path}"
            for response in operation["responses"].values():
                assert response["description"]


def test_the_examples_of_the_openapi_description_work(client: httpx.Client, document: dict[str, Any]) -> None:
    for path in ("/predict", "/feedback"):
        operation = document["paths"][path]["post"]
        request = operation["requestBody"]["content"]["application/json"]["example"]
        shown = operation["responses"]["200"]["content"]["application/json"]["example"]
        response = client.post(path, json=request)
        assert response.status_code == 200, response.text
        if isinstance(shown, list):
            kinds = [{name: type(value) for name, value in one[0].items()} for one in (response.json(), shown)]
            assert kinds[0] == kinds[1]
        else:
            assert response.json() == shown
