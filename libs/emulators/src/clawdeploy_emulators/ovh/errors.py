"""Refusals in OVH's two shapes: `{errorCode, httpCode, message}` for who is calling, `{class, message}` for what."""

from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError

from clawdeploy_emulators.cloud.refusals import Refusal, Words

BUSY = "Action not available while there are running tasks on the VPS"


def not_found(what: str) -> Refusal:
    """404: no such object in this account."""
    return Refusal(404, "Client::NotFound", f"The requested object ({what}) does not exist")


def bad_request(message: str) -> Refusal:
    """400: it cannot be done, now or ever."""
    return Refusal(400, "Client::BadRequest", message)


def not_admitted(error_code: str, message: str, *, status: int = 403) -> Refusal:
    """403 or 400: the caller, or the signature, is not right."""
    return Refusal(status, error_code, message)


def wording(refusal: Refusal) -> dict[str, Any]:
    """The body of a refusal."""
    if "::" in refusal.code:
        return {"class": refusal.code, "message": refusal.message}
    http_code = f"{refusal.status} {HTTPStatus(refusal.status).phrase}"
    return {"errorCode": refusal.code, "httpCode": http_code, "message": refusal.message}


def unserved(status: int) -> Refusal:
    """The refusal for a bare status."""
    if status in {404, 405}:
        return Refusal(404, "NOT_FOUND", "Got an invalid (or empty) URL")
    side = "Client" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "Server"
    return Refusal(status, f"{side}::{HTTPStatus(status).phrase.replace(' ', '')}", HTTPStatus(status).phrase)


def invalid(error: RequestValidationError) -> Refusal:
    """The refusal for a call that does not parse."""
    first = error.errors()[0]
    names = [str(part) for part in first["loc"] if part not in {"body", "query", "path", "header"}]
    return bad_request(f"[{'.'.join(names) or 'body'}] {first['msg']}")


WORDS = Words(wording=wording, invalid=invalid, unserved=unserved)
