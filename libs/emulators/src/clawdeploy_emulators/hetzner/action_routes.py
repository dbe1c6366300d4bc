"""/actions: how far what was begun is."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from clawdeploy_emulators.cloud.context import InWork
from clawdeploy_emulators.hetzner.context import published_action
from clawdeploy_emulators.hetzner.errors import not_found

router = APIRouter()


@router.get("/actions")
async def list_actions(ids: Annotated[list[int], Query(alias="id", min_length=1)], work: InWork) -> dict[str, Any]:
    """The actions with these numbers; those that do not exist are left out."""
    found = [action for number in ids if (action := work.actions.find(number)) is not None]
    return {"actions": [published_action(action, work.now) for action in work.seen(found)]}


@router.get("/actions/{action_id}")
@router.get("/servers/actions/{action_id}")
@router.get("/firewalls/actions/{action_id}")
async def get_action(action_id: int, work: InWork) -> dict[str, Any]:
    """One action."""
    action = work.actions.find(action_id)
    if action is None:
        raise not_found("action", action_id)
    return {"action": published_action(action, work.now)}
