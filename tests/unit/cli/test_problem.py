"""Problem documents as people read them, and the exit code they end with."""

from typing import Any

import httpx
import pytest

from clawdeploy_cli.client.problem import raise_for_problem
from clawdeploy_cli.errors import ClawError


def problem(status: int, body: Any = None, **headers: str) -> ClawError:
    with pytest.raises(ClawError) as caught:
        raise_for_problem(httpx.Response(status, json=body, headers=headers))
    return caught.value


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 5), (401, 5), (403, 5), (404, 3), (409, 5), (422, 2), (429, 5), (500, 1), (502, 4), (503, 4)],
)
def test_a_status_has_its_exit_code(status: int, code: int) -> None:
    assert problem(status, {"title": "No"}).exit_code == code


def test_title_detail_and_fields_make_one_sentence() -> None:
    errors = [{"field": "channel", "reason": "is not known", "allowed": ["telegram", "discord"]}]
    body = {"title": "Some fields are not valid", "detail": "See below", "errors": errors}
    assert problem(422, body).message == (
        "Some fields are not valid: See below (channel: is not known, one of telegram, discord)."
    )


def test_what_the_detail_says_already_is_not_said_twice() -> None:
    errors = [{"field": "name", "reason": "is too long"}]
    body = {"title": "Some fields are not valid", "detail": "name: is too long", "errors": errors}
    assert problem(422, body).message == "Some fields are not valid: name: is too long."


def test_what_would_be_valid_is_added_to_what_the_detail_says() -> None:
    errors = [{"field": "plan", "reason": "is no plan", "allowed": ["free", "pro"]}]
    body = {"title": "Some fields are not valid", "detail": "plan: is no plan", "errors": errors}
    assert problem(422, body).message == "Some fields are not valid: plan: is no plan, one of free, pro."


def test_an_answer_that_is_no_problem_document_is_still_a_sentence() -> None:
    assert problem(418, ["tea"]).message == "The platform answered 418."


def test_what_to_do_is_said() -> None:
    assert "claw auth token" in (problem(401).hint or "")
    assert problem(429, {}, **{"Retry-After": "7"}).hint == "Try again in 7 s."
    assert problem(403, {"upgrade_url": "https://x.example/up"}).hint == "More room: https://x.example/up"


def test_the_agents_own_reason_is_what_is_said() -> None:
    body = {
        "title": "provisioner refused this",
        "error": {"message": "Missing user message", "type": "invalid_request_error"},
    }
    assert problem(400, body).message == "The agent refused: Missing user message."


def test_a_success_is_no_problem() -> None:
    raise_for_problem(httpx.Response(204))
