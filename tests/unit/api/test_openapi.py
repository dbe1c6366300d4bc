"""The OpenAPI document: the same for the same code, with examples and problems everywhere."""

from typing import Any

import pytest

from clawdeploy_api.openapi import document

OPERATIONS = [
    pytest.param(operation, id=operation["operationId"])
    for methods in document()["paths"].values()
    for operation in methods.values()
]
PLAIN = {"healthz", "readyz", "metrics"}


def test_the_document_is_always_the_same() -> None:
    assert document() == document()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_says_what_it_does_and_shows_an_example(operation: dict[str, Any]) -> None:
    name = operation["operationId"]
    assert operation["summary"]
    assert operation["tags"]
    if name in PLAIN:
        return
    assert operation["description"]
    for holder in (operation.get("requestBody"), *_successes(operation)):
        for media_type, media in (holder or {}).get("content", {}).items():
            assert "example" in media or media_type == "text/event-stream", (name, media_type)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_of_the_api_names_its_problems(operation: dict[str, Any]) -> None:
    if "security" not in operation:
        return
    assert {"401", "422", "503"} <= set(operation["responses"])
    for status, answer in operation["responses"].items():
        if status >= "400":
            assert list(answer["content"]) == ["application/problem+json"]


def _successes(operation: dict[str, Any]) -> list[dict[str, Any]]:
    return [answer for status, answer in operation["responses"].items() if status < "300"]
