"""Refusals: raised anywhere, put into the provider's words in one place."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from clawdeploy_emulators.faults import UnsupportedFault

log = structlog.get_logger()


class Refusal(Exception):
    """A call that is refused: HTTP status, the provider's code, a sentence, and details when the code has some."""

    def __init__(self, status: int, code: str, message: str, *, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details


@dataclass(frozen=True, kw_only=True)
class Words:
    """How a provider says no."""

    wording: Callable[[Refusal], dict[str, Any]]  # the body of a refusal
    invalid: Callable[[RequestValidationError], Refusal]  # for a call that does not parse
    unserved: Callable[[int], Refusal]  # for a bare status

    def body(self, status: int) -> dict[str, Any]:
        """The body for a bare status."""
        return self.wording(self.unserved(status))


def install_refusals(app: FastAPI, *, words: Words) -> None:
    """Let every refusal leave in the provider's shape: our own, FastAPI's for a bad call, and those of no route."""

    def answer(request: Request, refusal: Refusal) -> JSONResponse:
        log.info("call.refused", path=request.url.path, status=refusal.status, code=refusal.code)
        return JSONResponse(words.wording(refusal), refusal.status)

    async def refused(request: Request, error: Exception) -> JSONResponse:
        match error:
            case Refusal():
                return answer(request, error)
            case RequestValidationError():
                return answer(request, words.invalid(error))
            case HTTPException():
                return answer(request, words.unserved(error.status_code))
            case UnsupportedFault():
                return answer(request, Refusal(400, "invalid_input", str(error)))
            case _:
                log.error("call.failed", path=request.url.path, error=type(error).__name__)
                return answer(request, words.unserved(500))

    for kind in (Refusal, RequestValidationError, HTTPException, UnsupportedFault, Exception):
        app.add_exception_handler(kind, refused)
