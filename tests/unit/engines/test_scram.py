"""Passwords of roles are stored as verifiers that we make ourselves."""

import pytest

from clawdeploy_cli.engines.scram import scram_verifier


def test_a_verifier_has_the_form_that_postgresql_stores() -> None:
    scheme, parameters, keys = scram_verifier("swordfish").split("$")
    assert scheme == "SCRAM-SHA-256"
    assert parameters.startswith("4096:")
    assert len(keys.split(":")) == 2


def test_a_verifier_never_repeats_nor_holds_the_password() -> None:
    first, second = scram_verifier("swordfish"), scram_verifier("swordfish")
    assert first != second
    assert "swordfish" not in first


@pytest.mark.parametrize("password", ["", "naïve", "a\nb"])
def test_a_password_that_would_need_rewriting_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        scram_verifier(password)
