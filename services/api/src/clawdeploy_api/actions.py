"""What an action asks for, given where an instance stands: a pure decision."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from clawdeploy_api.errors import InstanceGoing, InstanceSuspended, NoServer, OperationWaiting
from clawdeploy_api.status import Status

Action = Literal["start", "stop", "restart", "redeploy", "pause", "resume", "destroy"]
Kind = Literal["start", "stop", "restart", "redeploy", "pause", "resume", "destroy"]

OUTCOME = {
    "deploy": "running",
    "redeploy": "running",
    "start": "running",
    "restart": "running",
    "resume": "running",
    "unsuspend": "running",
    "stop": "stopped",
    "pause": "paused",
    "suspend": "suspended",
    "destroy": "deleted",
}
DESIRED = {action: OUTCOME[action] for action in ("start", "stop", "restart", "redeploy", "pause", "resume", "destroy")}
_LIVELY = ("running", "creating", "pending")


@dataclass(frozen=True, kw_only=True)
class OpenOperation:
    """An operation that has not ended."""

    id: UUID
    kind: str


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where an instance stands; ``open_operations`` in the order they were asked for."""

    status: Status
    desired: str
    has_server: bool
    open_operations: tuple[OpenOperation, ...] = ()

    @property
    def heading(self) -> str:
        """What it will be when nothing else is asked for."""
        for operation in reversed(self.open_operations):
            if operation.kind in OUTCOME:
                return OUTCOME[operation.kind]
        return self.status


def decide(action: Action, standing: Standing, *, in_place: bool = False) -> Kind | None:
    """The operation to ask for, or None when what is wanted is so already or on its way.

    Raises InstanceGoing, InstanceSuspended, NoServer, OperationWaiting.
    """
    if action == "destroy":
        return None if standing.heading == "deleted" else "destroy"
    if standing.desired == "deleted" or standing.heading == "deleted":
        raise InstanceGoing
    if standing.heading == "suspended":
        raise InstanceSuspended
    if _is_so(action, standing):
        return None
    if (action != "redeploy" or in_place) and not standing.has_server:
        raise NoServer("there is no server (yet): wait for the deployment, cancel it, or redeploy")
    refuse_when_one_waits(standing)
    return _kind(action, standing)


def refuse_when_one_waits(standing: Standing) -> None:
    """A person's second request while one waits is refused; raises OperationWaiting."""
    if len(standing.open_operations) > 1:
        waiting = standing.open_operations[-1]
        raise OperationWaiting(kind=waiting.kind, operation_id=waiting.id)


def _is_so(action: Action, standing: Standing) -> bool:
    newest = standing.open_operations[-1].kind if standing.open_operations else None
    if action in ("start", "resume"):
        return standing.heading in _LIVELY
    if action in ("stop", "pause"):
        return standing.heading == OUTCOME[action] and (newest is not None or standing.desired == OUTCOME[action])
    if action == "redeploy":
        return newest in ("deploy", "redeploy")
    return newest == action


def _kind(action: Action, standing: Standing) -> Kind:
    """Starting what is paused resumes it, resuming what is stopped starts it: both wish for a running agent."""
    if action in ("start", "resume"):
        return "resume" if standing.heading == "paused" else "start"
    return "restart" if action == "restart" else action
