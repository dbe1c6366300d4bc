"""What every operation of the OpenAPI document says: the problems it can answer, and the parameters of lists."""

from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query
from starlette.responses import StreamingResponse

from clawdeploy_common.problems import MEDIA_TYPE

_WHY = {
    400: "The request cannot be understood, or the instance has no server",
    401: "No valid API key came with the request",
    403: "The API key does not allow this, or a quota is reached",
    404: "There is no such thing in this account",
    409: "It does not fit the current state",
    413: "The body has more than 1 MiB",
    415: "The body is not application/json",
    422: "Some fields are not valid",
    429: "Too many requests; `Retry-After` says when to come again",
    503: "Temporarily unavailable: the database, or the service that knows, does not answer",
}
_ALWAYS = (401, 422, 503)
_MUTATION = (400, 409, 413, 415, 429)

Documented = dict[int | str, dict[str, Any]]


def problems(*statuses: int) -> Documented:
    """Problem answers of an operation that reads; those every signed-in operation has are included."""
    return {status: _problem(status) for status in sorted({*_ALWAYS, *statuses})}


def mutation_problems(*statuses: int) -> Documented:
    """The same for an operation that changes something."""
    return problems(*_MUTATION, *statuses)


class EventStream(StreamingResponse):
    """Server-sent events as they are made here. FastAPI's own class wants the endpoint to be the generator, but who may stream is
    decided, and refused as a problem, before the first byte.
    """

    media_type = "text/event-stream"


def _problem(status: int) -> dict[str, Any]:
    documented: dict[str, Any] = {
        "description": _WHY.get(status, HTTPStatus(status).phrase),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in (429, 503):
        documented["headers"] = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}}
    return documented


Limit = Annotated[int, Query(ge=1, le=200, description="how many at most", examples=[50])]
Cursor = Annotated[
    str | None,
    Query(
        pattern=r"^[A-Za-z0-9_-]{22}$",
        description="`next_cursor` of the page before",
        examples=["AZfx0m1ucL6hT2sVb0k3dA"],
    ),
]
Position = Query(
    pattern=r"^[0-9]{1,18}$", description="`next_cursor` of a page, or an event's `position`", examples=["17"]
)
Tail = Annotated[int, Query(ge=1, le=10_000, description="how many lines, from the end", examples=[100])]
TailFirst = Annotated[
    int,
    Query(ge=0, le=10_000, description="how many of the last lines come first; 0 for new ones only", examples=[100]),
]
InstanceId = Annotated[UUID, Path(description="id of an instance", examples=["01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e01"])]
OperationId = Annotated[UUID, Path(description="id of an operation", examples=["01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e02"])]
AccountId = Annotated[UUID, Path(description="id of an account", examples=["01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e00"])]
