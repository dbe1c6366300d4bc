"""Who may call: an application and a consumer, with a signature over the very bytes of the call."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Request

from clawdeploy_emulators.cloud.actions import Action, ActionState
from clawdeploy_emulators.cloud.context import InCloud
from clawdeploy_emulators.ovh.errors import not_admitted
from clawdeploy_emulators.ovh.settings import OvhSettings

CLOCK_SKEW_SECONDS = 300
STATES = {
    ActionState.WAITING: "todo",
    ActionState.RUNNING: "doing",
    ActionState.SUCCESS: "done",
    ActionState.ERROR: "error",
}


def ovh_settings(cloud: InCloud) -> OvhSettings:
    """The settings, as what they are."""
    assert isinstance(cloud.settings, OvhSettings)  # noqa: S101  the composition root made them
    return cloud.settings


InSettings = Annotated[OvhSettings, Depends(ovh_settings)]


async def application(request: Request, settings: InSettings) -> None:
    """Let only the known application pass."""
    if not _same(request.headers, "X-Ovh-Application", settings.application_key):
        raise not_admitted("INVALID_KEY", "Invalid application key")


async def consumer(request: Request, settings: InSettings, cloud: InCloud) -> None:
    """Let only calls pass that the account's consumer has signed within the last minutes."""
    await application(request, settings)
    if not _same(request.headers, "X-Ovh-Consumer", settings.consumer_key):
        raise not_admitted("INVALID_CREDENTIAL", "This credential is not valid")
    stamp = request.headers.get("X-Ovh-Timestamp", "")
    if not stamp.isdigit() or abs(int(stamp) - cloud.now().timestamp()) > CLOCK_SKEW_SECONDS:
        raise not_admitted("QUERY_TIME_OUT", "Query out of time", status=400)
    parts = [settings.token, settings.consumer_key, request.method, str(request.url), await _body(request), stamp]
    if not _same(request.headers, "X-Ovh-Signature", signature(parts)):
        raise not_admitted("INVALID_SIGNATURE", "Invalid signature", status=400)


def signature(parts: list[str]) -> str:
    """`$1$` and the SHA-1 of secret, consumer, method, whole address, body and timestamp, joined by plus signs."""
    return "$1$" + hashlib.sha1("+".join(parts).encode(), usedforsecurity=False).hexdigest()


def iso(at: datetime) -> str:
    """A moment as the API writes it."""
    return at.isoformat(timespec="seconds")


def published_task(task: Action, now: datetime) -> dict[str, Any]:
    """A task as the API gives it."""
    return {
        "id": task.id,
        "type": task.command,
        "state": STATES[task.state(now)],
        "progress": task.progress(now),
        "date": iso(task.starts_at),
    }


async def _body(request: Request) -> str:
    return (await request.body()).decode()


def _same(headers: Mapping[str, str], name: str, value: str) -> bool:
    return hmac.compare_digest(headers.get(name, "").encode(), value.encode())
