"""Errors over HTTP: one shape, and never what was refused (it may be a secret)."""

from typing import Annotated, Literal

import pytest
from fastapi import FastAPI, Query
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from clawdeploy_common.errors import Conflict, InvalidInput, TemporaryError
from clawdeploy_common.http import ASGITransport, AsyncClient, Response
from clawdeploy_common.problems import add_problem_handlers

PLANTED = "sk-or-v1-planted-secret-0123456789abcdef"


class Body(BaseModel):
    """A body with a secret in it."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(min_length=1, max_length=10, pattern="^[a-z]+$")]
    model: Literal["small", "large"]
    key: SecretStr = Field(default=SecretStr(""), max_length=8)
    number: int = 0

    @field_validator("number")
    @classmethod
    def _is_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("must be even")
        return value


app = FastAPI()
add_problem_handlers(app)


@app.post("/things/{thing_id}")
async def make(thing_id: int, body: Body, limit: Annotated[int, Query(ge=1)] = 1) -> str:  # pyright: ignore[reportUnusedFunction]
    match body.name:
        case "conflict":
            raise Conflict(f"thing {thing_id} runs", current="running")
        case "later":
            raise TemporaryError("busy", retry_after=7)
        case "invalid":
            raise InvalidInput("model", "is not offered", allowed=["small"])
        case "crash":
            raise RuntimeError(f"internal detail {PLANTED}")
        case "away":
            raise ConnectionRefusedError("postgresql://user:password@host")  # pragma: allowlist secret
        case _:
            return "made"


async def post(json: object = None, *, content: bytes | None = None, path: str = "/things/1") -> Response:
    transport = ASGITransport(app=app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.post(
            path, json=json, content=content, headers={"content-type": "application/json"} if content else None
        )


REFUSED: dict[str, object] = {
    "wrong type": {"name": {PLANTED: PLANTED}, "model": "small"},
    "too long": {"name": PLANTED, "model": "small"},
    "not offered": {"name": "a", "model": PLANTED},
    "secret too long": {"name": "a", "model": "small", "key": PLANTED},
    "secret of another type": {"name": "a", "model": "small", "key": [PLANTED]},
    "validator": {"name": "a", "model": "small", "number": 3, "key": "x"},
    "number from text": {"name": "a", "model": "small", "number": PLANTED},
    "not an object": [PLANTED],
    "only a string": PLANTED,
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
async def test_a_refused_input_is_never_echoed(body: object) -> None:
    """INVARIANT: a 422 names the field and the reason, never the value: it may be a secret in the wrong place."""
    answer = await post(body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert PLANTED not in answer.text
    assert answer.json()["errors"]
    assert all(set(each) <= {"field", "reason", "allowed"} for each in answer.json()["errors"])


@pytest.mark.parametrize("content", [b"{", b'{"name": "sk-or-v1-planted-secret-0123456789abcdef', b"\xff\xfe", b""])
async def test_a_body_that_is_no_json_is_a_problem_that_echoes_nothing(content: bytes) -> None:
    answer = await post(content=content)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert PLANTED not in answer.text


async def test_errors_of_ours_keep_their_code_and_their_members() -> None:
    fine = {"model": "small"}
    conflict = await post({"name": "conflict", **fine})
    assert (conflict.status_code, conflict.json()["code"], conflict.json()["current"]) == (409, "conflict", "running")
    later = await post({"name": "later", **fine})
    assert (later.status_code, later.headers["retry-after"]) == (503, "7")
    invalid = await post({"name": "invalid", **fine})
    assert invalid.json()["errors"] == [{"field": "model", "reason": "is not offered", "allowed": ["small"]}]


async def test_what_crashed_tells_nothing_of_its_inside() -> None:
    """INVARIANT: an unexpected error is a problem without its message; an absent database is 503."""
    crash = await post({"name": "crash", "model": "small"})
    assert (crash.status_code, crash.json()["code"]) == (500, "internal-error")
    assert PLANTED not in crash.text
    away = await post({"name": "away", "model": "small"})
    assert (away.status_code, away.json()["code"]) == (503, "database-away")
    assert "password" not in away.text


async def test_unknown_routes_and_methods_are_problems() -> None:
    for path, status in (("/nowhere", 404), ("/things/x", 422), ("/things/1?limit=0", 422)):
        answer = await post({"name": "a", "model": "small"}, path=path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
