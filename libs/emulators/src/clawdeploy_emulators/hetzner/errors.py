"""Refusals in Hetzner's words: `{"error": {"code", "message", "details"}}`, codes as in the published description."""

from typing import Any

from fastapi.exceptions import RequestValidationError

from clawdeploy_emulators.cloud.refusals import Refusal, Words

CODES = {
    400: ("json_error", "invalid JSON input"),
    401: ("unauthorized", "unable to authenticate"),
    404: ("not_found", "api route not found"),
    405: ("method_not_allowed", "method not allowed"),
    429: ("rate_limit_exceeded", "limit of requests per hour reached"),
    500: ("server_error", "an internal error occurred"),
    504: ("timeout", "the request could not be answered in time"),
}


def invalid_input(field: str, message: str) -> Refusal:
    """422: one field of the call is not what it should be."""
    details = {"fields": [{"name": field, "messages": [message]}]}
    return Refusal(422, "invalid_input", f"invalid input in field '{field}': {message}", details=details)


def not_found(noun: str, id_: object) -> Refusal:
    """404: no such resource in this project."""
    return Refusal(404, "not_found", f"{noun} with ID '{id_}' not found")


def not_unique(noun: str, field: str) -> Refusal:
    """409: another resource of the project has this name or key."""
    details = {"fields": [{"name": field, "messages": [f"{field} is already used"]}]}
    return Refusal(409, "uniqueness_error", f"{noun} with the same {field} already exists", details=details)


def limit_exceeded(limit: str) -> Refusal:
    """403: the project has as many of these as it may."""
    details = {"limits": [{"name": limit}]}
    return Refusal(403, "resource_limit_exceeded", f"{limit} exceeded", details=details)


def locked() -> Refusal:
    """423: an action holds the resource."""
    return Refusal(423, "locked", "the item is locked by a running action")


def wording(refusal: Refusal) -> dict[str, Any]:
    """The body of a refusal."""
    return {"error": {"code": refusal.code, "message": refusal.message, "details": refusal.details}}


def unserved(status: int) -> Refusal:
    """The refusal for a bare status."""
    code, message = CODES.get(status, CODES[500])
    return Refusal(status, code, message)


def invalid(error: RequestValidationError) -> Refusal:
    """The refusal for a call that does not parse."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return unserved(400)
    names = [str(part) for part in first["loc"] if part not in {"body", "query", "path", "header"}]
    return invalid_input(".".join(names) or "body", str(first["msg"]).lower())


WORDS = Words(wording=wording, invalid=invalid, unserved=unserved)
