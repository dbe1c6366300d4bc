"""The parts of the on-server agent that do not need a server."""

from typing import Any

import pytest

from clawdeploy_provisioner.on_server import agent

TOKEN = "123456789:secret"


def test_what_is_told_of_a_channel_is_what_the_platform_judges_and_no_secret() -> None:
    """INVARIANT: secrets are write-only."""
    account: dict[str, Any] = {
        "accountId": "default",
        "running": False,
        "lifecycle": "blocked",
        "lastError": f"getMe of {TOKEN} returned 401",
        "probe": {"bot": {"username": "somebody"}},
    }
    told = agent.account_told(account, [TOKEN])
    assert told == {"running": False, "lifecycle": "blocked", "lastError": "getMe of [redacted] returned 401"}


@pytest.mark.parametrize("account", [None, "?", [], {"running": "yes"}])
def test_an_account_that_cannot_be_read_is_told_as_little(account: Any) -> None:
    assert set(agent.account_told(account, [])) <= set(agent.TOLD_OF_AN_ACCOUNT)
