"""Refusals in DigitalOcean's words: `{"id", "message", "request_id"?}`."""

from typing import Any

from fastapi.exceptions import RequestValidationError

from clawdeploy_emulators.cloud.refusals import Refusal, Words

CODES = {
    400: ("bad_request", "Error parsing request body."),
    401: ("unauthorized", "Unable to authenticate you."),
    404: ("not_found", "The resource you requested could not be found."),
    405: ("not_found", "The resource you requested could not be found."),
    429: ("too_many_requests", "API rate limit exceeded."),
    500: ("server_error", "Server was unable to give you a response."),
    504: ("gateway_timeout", "The server did not answer in time."),
}


def unserved(status: int) -> Refusal:
    """The refusal for a bare status."""
    code, message = CODES.get(status, CODES[500])
    return Refusal(status, code, message)


def not_found() -> Refusal:
    """404: no such resource of this account."""
    return unserved(404)


def unprocessable(message: str) -> Refusal:
    """422: it was understood, and it cannot be done."""
    return Refusal(422, "unprocessable_entity", message)


def wording(refusal: Refusal) -> dict[str, Any]:
    """The body of a refusal."""
    return {"id": refusal.code, "message": refusal.message}


def invalid(error: RequestValidationError) -> Refusal:
    """The refusal for a call that does not parse."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return unserved(400)
    names = [str(part) for part in first["loc"] if part not in {"body", "query", "path", "header"}]
    return unprocessable(f"{'.'.join(names) or 'body'}: {first['msg']}")


WORDS = Words(wording=wording, invalid=invalid, unserved=unserved)
