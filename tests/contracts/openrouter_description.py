"""OpenRouter's published description, as a judge of answers."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs

BASE_PATH = "/api/v1"
UNDOCUMENTED = {
    # the description lists 403 for POST /keys only, and the same sentence is what every management route answers
    403: "ForbiddenResponse",
    # a path or method that nobody serves
    404: "NotFoundResponse",
    405: "BadRequestResponse",
    # GET /credits, /key, /keys/{hash} list no 429 or 400, but faults and bad paths are answered alike everywhere
    400: "BadRequestResponse",
    429: "TooManyRequestsResponse",
}
DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parent / "specs" / "openrouter.json").read_text())


async def judge(response: httpx.Response) -> None:
    """Fail when an answer of the API is not what the description promises; an event hook of httpx."""
    path = response.request.url.path
    if not path.startswith(BASE_PATH):
        return
    await response.aread()
    operation = _operation(response.request.method, path.removeprefix(BASE_PATH))
    documented = operation.get("responses", {}).get(str(response.status_code))
    if documented is None:
        assert response.status_code in UNDOCUMENTED, f"{path} answered {response.status_code}, which is not described"
        _validate(response.json(), _reference(UNDOCUMENTED[response.status_code]))
        return
    media = response.headers["content-type"].partition(";")[0]
    schema = documented["content"][media]["schema"]
    bodies = [{"data": chunk} for chunk in chunks_of(response)] if media == "text/event-stream" else [response.json()]
    for body in bodies:
        _validate(body, schema)


def chunks_of(response: httpx.Response) -> list[dict[str, Any]]:
    """The chunks of a streamed answer, `[DONE]` left out."""
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def _operation(method: str, path: str) -> dict[str, Any]:
    for template, operations in DOCUMENT["paths"].items():
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), path):
            return operations.get(method.lower(), {})
    return {}


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _validate(body: object, schema: dict[str, Any]) -> None:
    _validator(json.dumps(schema)).validate(body)


@cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    whole = {**json.loads(schema), "components": DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
