import base64
from urllib.parse import quote

import pytest

from clawdeploy_common.redaction import REDACTED, Redactor

PLANTED = 'pa"ss/word+ÿ'


@pytest.mark.parametrize(
    "spelling", [PLANTED, quote(PLANTED, safe=""), 'pa\\"ss/word+\\u00ff', base64.b64encode(PLANTED.encode()).decode()]
)
def test_a_known_value_is_hidden_in_every_spelling(spelling: str) -> None:
    """INVARIANT: a secret the platform knows never reaches a reader."""
    assert Redactor([PLANTED]).redact(f"before {spelling} after") == f"before {REDACTED} after"


def test_every_line_of_a_many_line_secret_is_hidden() -> None:
    text = Redactor(["first line\nsecond line"]).redact("x second line y\nfirst line")

    assert text == f"x {REDACTED} y\n{REDACTED}"


def test_a_secret_inside_a_longer_one_does_not_leave_a_rest() -> None:
    assert Redactor(["token", "token-and-more"]).redact("token-and-more") == REDACTED


@pytest.mark.parametrize(
    "credential",
    [
        "sk-or-v1-" + "a1" * 32,
        "sk-ant-api03-" + "b" * 40,
        "123456789:" + "A" * 35,
        "claw_" + "c" * 43,
        "AIza" + "d" * 35,
        "M" + "e" * 23 + "." + "f" * 6 + "." + "g" * 27,
        "eyJhbGciOiJF.eyJzdWIiOiIx.c2lnbmF0dXJl",
    ],
)
def test_what_looks_like_a_credential_is_hidden_without_being_known(credential: str) -> None:
    assert Redactor().redact(f"key={credential};") == f"key={REDACTED};"


def test_a_header_and_an_address_keep_their_public_part() -> None:
    redactor = Redactor()
    address = "postgresql://api:hunter22@db:5432/x"  # pragma: allowlist secret

    assert redactor.redact("Authorization: Bearer abcdefgh1234") == f"Authorization: Bearer {REDACTED}"
    assert redactor.redact(address) == f"postgresql://api:{REDACTED}@db:5432/x"


@pytest.mark.parametrize(
    "ordinary",
    [
        "2026-11-21T10:34:25.266+00:00 [gateway] ready",
        "http://127.0.0.1:21000/startupz",
        "exit code 78",
        "task-12345678901234567890",
    ],
)
def test_ordinary_lines_are_left_alone(ordinary: str) -> None:
    assert Redactor(["", "abc"]).redact(ordinary) == ordinary
