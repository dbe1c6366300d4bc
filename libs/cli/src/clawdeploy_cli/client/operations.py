"""Waiting for an operation: woken by the live stream, by a slow poll when there is none."""

import contextlib
import json
import threading
import time
from collections.abc import Callable
from itertools import takewhile
from typing import Any, cast

from clawdeploy_cli.client.http import ApiClient, Json
from clawdeploy_cli.client.sse import parse_events
from clawdeploy_cli.errors import ClawError, NotReady

POLL_S = 1.0
UNREACHABLE_FOR_S = 60.0
FINISHED = frozenset({"succeeded", "failed", "cancelled"})

Progress = Callable[[Json], None]


def await_operation(api: ApiClient, operation_id: str, *, on_progress: Progress, within_s: float = 1200) -> Json:
    """Follow an operation to its end; answers it, however it ended.

    Raises:
        NotReady: it did not end in time, or the platform has not answered for a minute.
    """
    changed = _listen(api)
    deadline = time.monotonic() + within_s
    answered = time.monotonic()
    while time.monotonic() < deadline:
        changed.clear()
        try:
            operation = api.get(f"/v1/operations/{operation_id}")
        except NotReady:  # the gateway may be restarting: the operation goes on without it
            if time.monotonic() - answered > UNREACHABLE_FOR_S:
                raise
            time.sleep(POLL_S)
            continue
        answered = time.monotonic()
        on_progress(operation)
        if operation["state"] in FINISHED:
            return operation
        changed.wait(POLL_S)
    raise NotReady(f"The operation did not end within {within_s:.0f} s; it goes on.", hint="Look at: claw show NAME")


def _listen(api: ApiClient) -> threading.Event:
    """An event set whenever anything happens on the account; the listening thread ends with the process."""
    changed = threading.Event()
    listener = ApiClient(api.url, api_key=api.api_key)
    threading.Thread(target=_follow, args=(listener, changed), daemon=True).start()
    return changed


def _follow(api: ApiClient, changed: threading.Event) -> None:
    with contextlib.suppress(ClawError), api, api.stream("GET", "/v1/stream") as response:
        for _ in parse_events(response.iter_lines()):
            changed.set()


def active_operation(instance: Json) -> str | None:
    """Id of the operation an instance is in; None when it is in none."""
    operation: Any = instance.get("operation")
    return str(cast("Json", operation)["id"]) if isinstance(operation, dict) else None


def unfinished_operations(api: ApiClient, instance_id: object) -> list[Json]:
    """What an instance is in and what waits behind it, in the order they were asked for."""
    newest = api.get(f"/v1/instances/{instance_id}/operations", limit=10)["items"]
    return [operation for operation in reversed(newest) if operation["state"] not in FINISHED]


def ahead_of(api: ApiClient, operation: Json) -> Json | None:
    """The operation that one which is queued waits for; None when it waits for none."""
    if operation["state"] != "queued":
        return None
    unfinished = unfinished_operations(api, operation["instance_id"])
    return next(takewhile(lambda other: other["id"] != operation["id"], unfinished), None)


def parse_json(text: str) -> Json:
    """A JSON object from an event's data."""
    return cast("Json", json.loads(text))
