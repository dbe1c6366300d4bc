"""Errors over HTTP: application/problem+json (RFC 9457), made in one place."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from clawdeploy_common.errors import ClawDeployError, TemporaryError
from clawdeploy_common.outages import DATABASE_ERRORS, is_outage

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"


class FieldError(BaseModel):
    """What is wrong with one field, and what is allowed."""

    field: str = Field(examples=["model"])
    reason: str = Field(examples=["is not a model of the catalogue"])
    allowed: list[str] | None = Field(default=None, examples=[["gpt-5.2", "claude-opus-4.5"]])


class Problem(BaseModel):
    """A problem detail (RFC 9457); ``code`` is stable, further members depend on it."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:clawdeploy:problem:not-found"])
    title: str = Field(examples=["There is no such thing"])
    status: int = Field(examples=[404])
    code: str = Field(examples=["not-found"])
    detail: str | None = Field(default=None, examples=["no instance 0197…"])
    instance: str | None = Field(default=None, examples=["/v1/instances/0197…"])
    errors: list[FieldError] | None = None


class DatabaseAway(TemporaryError):
    """The service cannot reach its database right now."""

    code = "database-away"


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries for the problems an operation can answer."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "model": Problem,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def problem(
    request: Request, *, status: int, code: str, title: str, detail: str = "", **extensions: Any
) -> JSONResponse:
    """A problem response for this request."""
    body = {"type": f"urn:clawdeploy:problem:{code}", "title": title, "status": status, "code": code}
    if detail:
        body["detail"] = detail
    body["instance"] = request.url.path
    return JSONResponse({**body, **extensions}, status_code=status, media_type=MEDIA_TYPE)


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error of an app as a problem."""
    app.add_exception_handler(ClawDeployError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    for error in DATABASE_ERRORS:
        app.add_exception_handler(error, _unexpected)
    app.add_exception_handler(OSError, _unexpected)
    app.add_exception_handler(Exception, _unexpected)


async def _ours(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, ClawDeployError):
        raise error
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request.failed", path=request.url.path, code=error.code, error=str(error))
    response = problem(
        request, status=error.status, code=error.code, title=error.title, detail=error.detail, **error.extensions
    )
    response.headers.update(error.headers)
    return response


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    found: Sequence[Any] = error.errors() if isinstance(error, RequestValidationError) else []
    errors = [_field_error(item) for item in found]
    detail = "; ".join(f"{e['field']}: {e['reason']}" for e in errors)
    malformed = any(item["type"] == "json_invalid" for item in found)
    status, code = (400, "bad-request") if malformed else (422, "invalid-input")
    title = "The request cannot be understood" if malformed else "Some fields are not valid"
    return problem(request, status=status, code=code, title=title, detail=detail, errors=errors)


def _field_error(item: Any) -> dict[str, Any]:
    """One pydantic error without the input it refused: that may be a secret."""
    where = [str(part) for part in item["loc"]]
    named = where[1:] if where[:1] in (["body"], ["query"], ["path"], ["header"]) and len(where) > 1 else where
    found: dict[str, Any] = {"field": ".".join(named), "reason": item["msg"]}
    context: dict[str, Any] = item.get("ctx") or {}
    expected = context.get("expected")
    if isinstance(expected, str):
        found["allowed"] = [part.strip(" '") for part in expected.replace(" or ", ", ").split(",")]
    return found


async def _http(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "-")
    detail = "" if error.detail == phrase else str(error.detail)
    response = problem(request, status=error.status_code, code=code, title=phrase, detail=detail)
    response.headers.update(error.headers or {})
    return response


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    if is_outage(error):
        return await _ours(request, DatabaseAway("The database does not answer; nothing was changed."))
    log.error("request.crashed", path=request.url.path, exc_info=error)
    return problem(
        request,
        status=500,
        code="internal-error",
        title="Something went wrong on our side",
        detail="It was logged; try again.",
    )
