"""Who may call, and the moments and actions as the API writes them."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Header

from clawdeploy_emulators.cloud.actions import Action, ActionState
from clawdeploy_emulators.cloud.context import InCloud, shows_token
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.digitalocean import catalogue
from clawdeploy_emulators.digitalocean.errors import unserved
from clawdeploy_emulators.digitalocean.settings import DigitalOceanSettings

STATES = {
    ActionState.WAITING: "in-progress",
    ActionState.RUNNING: "in-progress",
    ActionState.SUCCESS: "completed",
    ActionState.ERROR: "errored",
}


def account(cloud: InCloud, authorization: Annotated[str | None, Header()] = None) -> None:
    """Let only the account's token pass."""
    if not shows_token(cloud, authorization):
        raise unserved(401)


def digitalocean_settings(cloud: InCloud) -> DigitalOceanSettings:
    """The settings, as what they are."""
    assert isinstance(cloud.settings, DigitalOceanSettings)  # noqa: S101  the composition root made them
    return cloud.settings


InSettings = Annotated[DigitalOceanSettings, Depends(digitalocean_settings)]


def moment(at: datetime) -> str:
    """A moment as the API writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def published_action(action: Action, work: Work) -> dict[str, Any]:
    """An action as the API gives it; nothing says why one has errored."""
    state = action.state(work.now)
    over = state in {ActionState.SUCCESS, ActionState.ERROR}
    region = action.details["region"]
    return {
        "id": action.id,
        "status": STATES[state],
        "type": action.command,
        "started_at": moment(action.starts_at),
        "completed_at": moment(action.ends_at) if over and action.ends_at else None,
        "resource_id": int(action.resource_id),
        "resource_type": "droplet",
        "region": catalogue.published_region(region, work),
        "region_slug": region,
    }
