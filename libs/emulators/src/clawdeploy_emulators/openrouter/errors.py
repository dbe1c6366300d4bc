"""Refusals in OpenRouter's words: `{"error": {"code", "message", "metadata"?}}`."""

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from clawdeploy_emulators.faults import UnsupportedFault

log = structlog.get_logger()


class ApiError(Exception):
    """A refusal with its status, message and optional metadata."""

    def __init__(self, code: int, message: str, *, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.metadata = metadata


class InvalidParameters(ApiError):
    """400: a parameter or the body is not what the description asks for."""

    def __init__(self, message: str = "Invalid request parameters") -> None:
        super().__init__(400, message)


class Unauthorized(ApiError):
    """401: no key, an unknown one, or one that is disabled or expired."""

    def __init__(self, message: str = "Missing Authentication header") -> None:
        super().__init__(401, message)


class PaymentRequired(ApiError):
    """402: `limit_source` says whether the key's limit or the account's credits ran out."""

    def __init__(self, message: str, *, limit_source: str, status: int = 402) -> None:
        super().__init__(status, message, metadata={"limit_source": limit_source})


class Forbidden(ApiError):
    """403: the key is good, but not for this operation."""

    def __init__(self, message: str = "Only management keys can perform this operation") -> None:
        super().__init__(403, message)


class ResourceNotFound(ApiError):
    """404: no such key or generation."""

    def __init__(self) -> None:
        super().__init__(404, "Resource not found")


def error_body(code: int, message: str, metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    """The body of a refusal."""
    error: dict[str, Any] = {"code": code, "message": message}
    if metadata is not None:
        error["metadata"] = metadata
    return {"error": error}


def limit_headers(seconds: int) -> dict[str, str]:
    """What OpenRouter says beside a 429 that is over in so many seconds."""
    return {
        "Retry-After": str(seconds),
        "X-RateLimit-Limit": "20",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(seconds * 1000),
    }


def install_error_handlers(app: FastAPI) -> None:
    """Let every refusal of the application, FastAPI's own included, leave in OpenRouter's shape."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(UnsupportedFault, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


async def _api_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)  # noqa: S101  registered for this class only
    log.info("call.refused", path=request.url.path, code=error.code)
    return JSONResponse(error_body(error.code, error.message, error.metadata), error.code)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    log.info("call.refused", path=request.url.path, code=400, error=type(error).__name__)
    return JSONResponse(error_body(400, "Invalid request parameters"), 400)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  registered for this class only
    log.info("call.refused", path=request.url.path, code=error.status_code)
    return JSONResponse(error_body(error.status_code, str(error.detail)), error.status_code, error.headers)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("call.failed", path=request.url.path, error=type(error).__name__)
    return JSONResponse(error_body(500, "Internal Server Error"), 500)
