"""Listing and showing agents."""

from typing import Any, cast

from clawdeploy_cli.client.connect import connect
from clawdeploy_cli.client.http import Json
from clawdeploy_cli.client.instances import find_instance, live_instances
from clawdeploy_cli.client.operations import unfinished_operations
from clawdeploy_cli.render.console import print_json, print_line, print_list, print_table, say
from clawdeploy_cli.render.steps import running_step
from clawdeploy_cli.render.words import age, paid_for, word

_LABELS = (
    ("name", "Name"),
    ("slug", "Slug"),
    ("id", "Id"),
    ("status", "Status"),
    ("status_reason", "Reason"),
    ("model", "Model"),
    ("channel", "Channel"),
    ("channel_status", "Channel status"),
    ("channel_status_reason", "Channel reason"),
    ("provider", "Provider"),
    ("plan", "Plan"),
    ("region", "Region"),
    ("endpoint", "Endpoint"),
    ("private_address", "Address"),
)
_MOMENTS = (("created_at", "Created"), ("deployed_at", "Deployed"), ("observed_at", "Observed"))


def list_all(*, as_json: bool) -> None:
    """`claw ls`: everything that is not deleted."""
    with connect() as api:
        items = live_instances(api)
    if as_json:
        print_list(items)
    elif items:
        print_table(("SLUG", "NAME", "STATUS", "MODEL", "CHANNEL", "", "AGE"), [_row(item) for item in items])
    else:
        say("There are no agents yet. Try: claw deploy my-agent --wait")


def show_one(name: str, *, as_json: bool) -> None:
    """`claw show`."""
    with connect() as api:
        instance = find_instance(api, name)
        unfinished = [] if as_json else unfinished_operations(api, instance["id"])
    if as_json:
        print_json(instance)
        return
    shown = {**instance, "status": status_shown(instance)}
    if instance.get("emulated"):
        shown["provider"] = f"{instance['provider']} (emulated)"
    for field, label in _LABELS:
        if shown.get(field) not in {None, ""}:
            print_line(f"{label:<16}{shown[field]}")
    for field, label in _MOMENTS:
        if instance.get(field):
            print_line(f"{label:<16}{age(instance[field])} ago")
    _print_health(instance)
    if terminating := paid_for(instance.get("server_paid_until")):
        print_line(f"{'Former server':<16}{terminating}")
    for operation in unfinished:
        print_line(f"{'Operation':<16}{operation['kind']} {operation['state']}{_step(operation)} ({operation['id']})")


def list_operations(name: str, *, as_json: bool) -> None:
    """`claw operations`: the newest first."""
    with connect() as api:
        items: list[Json] = api.get(f"/v1/instances/{find_instance(api, name)['id']}/operations")["items"]
    if as_json:
        print_list(items)
    else:
        print_table(("KIND", "STATE", "AGE", "ERROR", "ID"), [_operation_row(item) for item in items])


def _operation_row(item: Json) -> list[str]:
    return [word(item["kind"]), word(item["state"]), age(item["created_at"]), word(item["error"]), word(item["id"])]


def _step(operation: Json) -> str:
    step = running_step(operation)
    return f": {step}" if step else ""


def _row(item: Json) -> list[str]:
    return [
        word(item["slug"]),
        f"{word(item['name'])} (emulated)" if item.get("emulated") else word(item["name"]),
        status_shown(item),
        word(item["model"]),
        word(item["channel"]),
        word(item.get("channel_status")),
        age(item["created_at"]),
    ]


def status_shown(item: Json) -> str:
    """The status; beside `running` what the process was seen to be, when that is not healthy."""
    health: Any = item.get("health")
    process = str(cast("Json", health).get("process") or "healthy") if isinstance(health, dict) else "healthy"
    if item["status"] != "running" or process == "healthy":
        return word(item["status"])
    return f"running, {'not seen yet' if process == 'unknown' else process}"


def _print_health(instance: Json) -> None:
    health: Any = instance.get("health")
    if isinstance(health, dict):
        found = cast("Json", health)
        print_line(f"{'Health':<16}process {word(found.get('process'))}, channel {word(found.get('channel'))}")
