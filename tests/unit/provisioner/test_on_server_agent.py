"""The parts of the on-server agent that do not need a server."""

import json
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


@pytest.mark.parametrize(
    ("change", "sections", "taken"),
    [
        ({"tools": {"deny": ["exec"]}}, ["env", "gateway"], True),
        ({"gateway": {"port": 2}}, ["env", "gateway"], False),
        ({"env": {"vars": {}}}, ["env", "gateway"], False),
        ({}, ["env", "gateway"], False),
        ({"tools": {"deny": ["exec"]}}, None, False),
    ],
)
def test_openclaw_is_restarted_for_what_the_platform_says_and_when_nothing_is_said(
    change: dict[str, Any], sections: list[str] | None, *, taken: bool
) -> None:
    document = {"gateway": {"port": 1}, "tools": {}}
    answer = {"document": document | change, "restart_sections": sections}
    assert agent.taken_while_running(json.dumps(document).encode(), answer) is taken


@pytest.mark.parametrize("before", [None, b"", b"{", b"[]"])
def test_a_first_or_damaged_document_means_a_restart(before: bytes | None) -> None:
    answer = {"document": {"gateway": {"port": 1}}, "restart_sections": ["gateway"]}
    assert not agent.taken_while_running(before, answer)
