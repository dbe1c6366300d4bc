"""Servers, as operators see them."""

from clawdeploy_cli.client.connect import connect
from clawdeploy_cli.client.http import Json
from clawdeploy_cli.render.console import print_list, print_table, say
from clawdeploy_cli.render.words import age, paid_for, word

_GONE = "destroyed"


def show_servers(*, with_destroyed: bool, as_json: bool) -> None:
    """`claw servers ls`."""
    with connect() as api:
        items = [item for item in api.pages("/v1/admin/servers") if with_destroyed or _state(item) != _GONE]
    if as_json:
        print_list(items)
    elif items:
        print_table(
            ("SERVER", "PROVIDER", "REGION", "STATE", "ADDRESS", "INSTANCE", "SEEN"), [_row(item) for item in items]
        )
    else:
        say("There are none.")


def _state(item: Json) -> str:
    return item["state"] if item["destroyed_at"] is None else paid_for(item.get("paid_until")) or _GONE


def _row(item: Json) -> list[str]:
    words = [word(item[key]) for key in ("id", "provider", "region")]
    return [*words, word(_state(item)), word(item["host"]), word(item["instance_id"]), age(item["observed_at"])]
