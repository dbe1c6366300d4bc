"""What follows a request that takes time: say so, or wait and show every step."""

from typing import Any, cast

from clawdeploy_cli.client.http import ApiClient, Json
from clawdeploy_cli.client.operations import active_operation, ahead_of, await_operation
from clawdeploy_cli.errors import Failed
from clawdeploy_cli.render.console import print_json, say
from clawdeploy_cli.render.steps import StepsDisplay, elapsed_total, waits_for


def conclude(api: ApiClient, instance: Json, *, doing: str, wait: bool, as_json: bool) -> None:
    """Wait when asked to, then print the instance (or one sentence).

    Raises:
        Failed: the operation was waited for and did not succeed.
    """
    operation_id = active_operation(instance)
    if operation_id is None:
        _say_nothing_to_do(instance, as_json=as_json)
        return
    if not wait:
        _say_begun(instance, doing=doing, as_json=as_json)
        ahead = ahead_of(api, instance["operation"])
        if ahead and not as_json:
            say(f"It is queued, {waits_for(ahead)}.")
        return
    operation = follow(api, operation_id, title=f"{doing} {instance['name']}")
    raise_unless_succeeded(operation, instance)
    if as_json:
        print_json(api.get(f"/v1/instances/{instance['id']}"))
    else:
        say(f"Done in {elapsed_total(operation)}.", style="bold green")


def follow(api: ApiClient, operation_id: str, *, title: str) -> Json:
    """Show an operation until it has ended; answers it."""
    with StepsDisplay(title) as display:
        return await_operation(
            api, operation_id, on_progress=lambda found: display.update(found, ahead=ahead_of(api, found))
        )


def raise_unless_succeeded(operation: Json, instance: Json) -> None:
    """Do nothing for a success.

    Raises:
        Failed: it failed or was cancelled; the message says why.
    """
    if operation["state"] == "succeeded":
        return
    reason = f": {_reason(operation['error'])}" if operation.get("error") else "."
    raise Failed(
        f"{operation['kind']} of {instance['name']} {operation['state']}{reason}",
        hint=f"See: claw show {instance['slug']}, claw logs {instance['slug']}",
    )


def _reason(error: Any) -> str:
    if isinstance(error, dict):
        parts = cast("Json", error)
        return str(parts.get("detail") or parts.get("message") or parts.get("reason") or parts)
    return str(error)


def _say_nothing_to_do(instance: Json, *, as_json: bool) -> None:
    if as_json:
        print_json(instance)
    else:
        say(f"{instance['name']} is {instance['status']} already.")


def _say_begun(instance: Json, *, doing: str, as_json: bool) -> None:
    if as_json:
        print_json(instance)
        return
    say(f"{doing} {instance['name']} ({instance['slug']}): {instance['status']}.")
    say(f"Follow it with: claw show {instance['slug']}, or add --wait next time.", style="bright_black")
