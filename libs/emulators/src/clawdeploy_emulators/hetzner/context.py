"""Who may call, and the moments and actions as the API writes them."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Header

from clawdeploy_emulators.cloud.actions import Action, ActionState
from clawdeploy_emulators.cloud.context import InCloud, shows_token
from clawdeploy_emulators.cloud.refusals import Refusal
from clawdeploy_emulators.hetzner.settings import HetznerSettings

STATES = {
    ActionState.WAITING: "running",
    ActionState.RUNNING: "running",
    ActionState.SUCCESS: "success",
    ActionState.ERROR: "error",
}


def project(cloud: InCloud, authorization: Annotated[str | None, Header()] = None) -> None:
    """Let only the project's token pass."""
    if not authorization:
        raise Refusal(401, "unauthorized", "token is required")
    if not shows_token(cloud, authorization):
        raise Refusal(401, "unauthorized", "the token you have provided is invalid")


def hetzner_settings(cloud: InCloud) -> HetznerSettings:
    """The settings, as what they are."""
    assert isinstance(cloud.settings, HetznerSettings)  # noqa: S101  the composition root made them
    return cloud.settings


InSettings = Annotated[HetznerSettings, Depends(hetzner_settings)]


def moment(at: datetime) -> str:
    """A moment as the API writes it."""
    return at.isoformat(timespec="seconds")


def published_action(action: Action, now: datetime) -> dict[str, Any]:
    """An action as the API gives it; `error` is null until it has failed."""
    state = action.state(now)
    failure = {"code": "action_failed", "message": "Action failed"}
    over = state in {ActionState.SUCCESS, ActionState.ERROR}
    return {
        "id": action.id,
        "command": action.command,
        "status": STATES[state],
        "progress": action.progress(now),
        "started": moment(action.starts_at),
        "finished": moment(action.ends_at) if over and action.ends_at else None,
        "resources": [{"id": int(action.resource_id), "type": action.resource_kind}, *action.details.get("also", [])],
        "error": failure if state is ActionState.ERROR else None,
    }
