"""Listing and showing agents."""

from typing import Any, cast

from clawdeploy_cli.client.connect import connect
from clawdeploy_cli.client.http import Json
from clawdeploy_cli.client.instances import find_instance
from clawdeploy_cli.render.console import print_json, print_line, print_list, print_table, say
from clawdeploy_cli.render.words import age, word

_LABELS = (
    ("name", "Name"),
    ("slug", "Slug"),
    ("id", "Id"),
    ("status", "Status"),
    ("status_reason", "Reason"),
    ("model", "Model"),
    ("channel", "Channel"),
    ("channel_status", "Channel status"),
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
        items = [item for item in api.pages("/v1/instances", limit=100) if item["status"] != "deleted"]
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
    if as_json:
        print_json(instance)
        return
    for field, label in _LABELS:
        if instance.get(field) not in {None, ""}:
            print_line(f"{label:<16}{instance[field]}")
    for field, label in _MOMENTS:
        if instance.get(field):
            print_line(f"{label:<16}{age(instance[field])} ago")
    _print_health(instance)


def _row(item: Json) -> list[str]:
    return [
        word(item["slug"]),
        word(item["name"]),
        _status(item),
        word(item["model"]),
        word(item["channel"]),
        word(item.get("channel_status")),
        age(item["created_at"]),
    ]


def _status(item: Json) -> str:
    return word(item["status"])


def _print_health(instance: Json) -> None:
    health: Any = instance.get("health")
    if isinstance(health, dict):
        found = cast("Json", health)
        print_line(f"{'Health':<16}process {word(found.get('process'))}, channel {word(found.get('channel'))}")
    operation: Any = instance.get("operation")
    if isinstance(operation, dict):
        current = cast("Json", operation)
        print_line(f"{'Operation':<16}{current['kind']} {current['state']} ({current['id']})")
