"""What an action asks for, as a table over where an instance stands."""

from typing import Any
from uuid import uuid4

import pytest

from clawdeploy_api.actions import Action, OpenOperation, Standing, decide
from clawdeploy_api.errors import InstanceGoing, InstanceSuspended, NoServer, OperationWaiting
from clawdeploy_common.errors import ClawDeployError


def standing(status: Any, *open_kinds: str, desired: str = "running", server: bool = True) -> Standing:
    opened = tuple(OpenOperation(id=uuid4(), kind=kind) for kind in open_kinds)
    return Standing(status=status, desired=desired, has_server=server, open_operations=opened)


@pytest.mark.parametrize(
    ("action", "where", "expected"),
    [
        ("start", standing("running"), None),
        ("start", standing("stopped", desired="stopped"), "start"),
        ("start", standing("creating", "deploy", server=False), None),
        ("start", standing("running", "stop", desired="stopped"), "start"),
        ("start", standing("paused", desired="paused"), "resume"),
        ("start", standing("error"), "start"),
        ("start", standing("unknown"), "start"),
        ("stop", standing("running"), "stop"),
        ("stop", standing("stopped", desired="stopped"), None),
        ("stop", standing("stopped", desired="running"), "stop"),
        ("stop", standing("running", "stop", desired="stopped"), None),
        ("restart", standing("running"), "restart"),
        ("restart", standing("creating", "restart"), None),
        ("pause", standing("running"), "pause"),
        ("pause", standing("paused", desired="paused"), None),
        ("resume", standing("paused", desired="paused"), "resume"),
        ("resume", standing("stopped", desired="stopped"), "start"),
        ("redeploy", standing("error", server=False), "redeploy"),
        ("redeploy", standing("running"), "redeploy"),
        ("redeploy", standing("creating", "redeploy"), None),
        ("destroy", standing("creating", "deploy", "stop"), "destroy"),
        ("destroy", standing("deleting", "destroy", desired="deleted"), None),
        ("destroy", standing("deleted", desired="deleted"), None),
        ("destroy", standing("error", desired="deleted"), "destroy"),
    ],
)
def test_what_is_so_already_asks_for_nothing(action: Action, where: Standing, expected: str | None) -> None:
    """INVARIANT: actions are idempotent."""
    assert decide(action, where) == expected


@pytest.mark.parametrize(
    ("action", "where", "error"),
    [
        ("stop", standing("pending", "deploy", server=False), NoServer),
        ("restart", standing("error", server=False), NoServer),
        ("start", standing("error", server=False), NoServer),
        ("start", standing("deleting", "destroy", desired="deleted"), InstanceGoing),
        ("redeploy", standing("deleted", desired="deleted"), InstanceGoing),
        ("start", standing("error", desired="deleted"), InstanceGoing),
        ("start", standing("suspended", desired="suspended"), InstanceSuspended),
        ("redeploy", standing("suspended", desired="suspended"), InstanceSuspended),
        ("restart", standing("creating", "start", "stop"), OperationWaiting),
    ],
)
def test_what_cannot_be_is_refused(action: Action, where: Standing, error: type[ClawDeployError]) -> None:
    with pytest.raises(error):
        decide(action, where)


def test_a_server_can_only_be_kept_where_there_is_one() -> None:
    assert decide("redeploy", standing("running"), in_place=True) == "redeploy"
    with pytest.raises(NoServer):
        decide("redeploy", standing("error", server=False), in_place=True)
