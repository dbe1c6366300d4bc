"""RFC 9457 problem documents as one sentence, and what to do about it."""

from http import HTTPStatus
from typing import Any, cast

import httpx

from clawdeploy_cli.errors import ClawError, Failed, NotFound, NotReady, Refused, UsageProblem

_HINTS = {
    401: "The API key is not accepted. Print the local platform's with: claw auth token (or set CLAWDEPLOY_API_KEY)",
    429: "Wait a moment and try again.",
    503: "Look at: claw status",
}


def raise_for_problem(response: httpx.Response) -> None:
    """Do nothing for a success.

    Raises:
        NotFound: 404. UsageProblem: 422. NotReady: 502, 503, 504. Refused: any other 4xx. Failed: any other answer.
    """
    if response.is_success:
        return
    problem = _problem(response)
    raise _kind(response.status_code)(_sentence(problem, response), hint=_hint(problem, response))


def _kind(status: int) -> type[ClawError]:
    if status == HTTPStatus.NOT_FOUND:
        return NotFound
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return UsageProblem
    if status in {502, 503, 504}:
        return NotReady
    return Refused if httpx.codes.is_client_error(status) else Failed


def _problem(response: httpx.Response) -> dict[str, Any]:
    try:
        body: Any = response.json()
    except ValueError:
        return {}
    return cast("dict[str, Any]", body) if isinstance(body, dict) else {}


def _sentence(problem: dict[str, Any], response: httpx.Response) -> str:
    if said := _agents_reason(problem):
        return said if said.endswith((".", "!", "?")) else f"{said}."
    title = str(problem.get("title") or f"The platform answered {response.status_code}")
    detail = str(problem.get("detail") or "")
    text = detail if detail and detail.startswith(title) else ": ".join(part for part in (title, detail) if part)
    fields = [_field(error, choices=True) for error in _errors(problem)]
    if fields and detail == "; ".join(_field(error) for error in _errors(problem)):
        text = f"{title}: {'; '.join(fields)}"  # the same, with what would be valid
    elif fields:
        text = f"{text} ({'; '.join(fields)})"
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _agents_reason(problem: dict[str, Any]) -> str | None:
    """What an agent said in OpenAI's form (`error.message`); the platform passes it on beside its own title."""
    error: Any = problem.get("error")
    message: Any = cast("dict[str, Any]", error).get("message") if isinstance(error, dict) else None
    return f"The agent refused: {message}" if message else None


def _errors(problem: dict[str, Any]) -> list[dict[str, Any]]:
    errors: Any = problem.get("errors")
    found = cast("list[Any]", errors) if isinstance(errors, list) else []
    return [cast("dict[str, Any]", error) for error in found if isinstance(error, dict)]


def _field(error: dict[str, Any], *, choices: bool = False) -> str:
    where = error.get("field") or error.get("pointer") or ""
    why = error.get("reason") or error.get("detail") or ""
    allowed = cast("list[Any]", error.get("allowed") or [])
    choice = f", one of {', '.join(map(str, allowed))}" if allowed and choices else ""
    return f"{where}: {why}{choice}" if where else f"{why}{choice}"


def _hint(problem: dict[str, Any], response: httpx.Response) -> str | None:
    after = response.headers.get("Retry-After")
    if after and response.status_code in {429, 503}:
        return f"Try again in {after} s."
    upgrade = problem.get("upgrade_url")
    return f"More room: {upgrade}" if upgrade else _HINTS.get(response.status_code)
