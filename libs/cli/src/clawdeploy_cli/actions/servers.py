"""Servers, as operators see them."""

import time
from dataclasses import dataclass
from pathlib import Path

from clawdeploy_cli.client.connect import connect
from clawdeploy_cli.client.http import ApiClient, Json
from clawdeploy_cli.errors import Failed, NotFound
from clawdeploy_cli.render.console import print_json, print_list, print_table, say
from clawdeploy_cli.render.words import age, paid_for, word

_PATH = "/v1/admin/servers"
_CHECK_S = 90.0
_LOOK_AGAIN_S = 0.5
_AWAY_HINT = "It is looked at again every minute, and at once when you add it again; see claw servers ls."
_GONE = "destroyed"
_IN_TROUBLE = frozenset({"unreachable", "releasing"})


@dataclass(frozen=True, kw_only=True)
class NewMachine:
    """A machine of the operator's own; ``key`` and ``host_key`` are files."""

    name: str
    address: str
    ssh_port: int
    ssh_user: str
    key: Path
    host_key: Path | None
    region: str
    memory_mb: int | None

    def body(self) -> Json:
        """As it is sent."""
        names = ("name", "address", "ssh_port", "ssh_user", "region", "memory_mb")
        return {
            **{name: getattr(self, name) for name in names},
            "ssh_private_key": self.key.read_text(errors="replace"),
            "host_key": None if self.host_key is None else self.host_key.read_text(errors="replace"),
        }


def add_machine(machine: NewMachine, *, as_json: bool) -> None:
    """`claw servers add`: until it was looked at. Raises Failed when it cannot be used."""
    with connect() as api:
        server = _looked_at(api, api.post(_PATH, machine.body()))
    if as_json:
        print_json(server)
    if server["state"] == "unreachable":
        raise Failed(f"It is registered, but cannot be used yet: {server['detail']}.", hint=_AWAY_HINT)
    if not as_json:
        say(_said(machine, server))


def _said(machine: NewMachine, server: Json) -> str:
    match server["state"]:
        case "checking":
            return f"{machine.name} is still being looked at; see claw servers ls."
        case "free":
            how = f"claw deploy NAME --provider own --region {machine.region}"
            return f"{machine.name} is free, with {server['memory_mb']} MB of memory. Next: {how}"
        case state:
            return f"{machine.name} is {state}."


def _looked_at(api: ApiClient, server: Json) -> Json:
    deadline = time.monotonic() + _CHECK_S
    while server["state"] == "checking" and time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN_S)
        server = api.get(f"{_PATH}/{server['id']}")
    return server


def remove_machine(named: str, *, lost: bool) -> None:
    """`claw servers remove`."""
    with connect() as api:
        own = [item for item in api.pages(_PATH) if item["kind"] == "own" and named in (item["name"], item["id"])]
        if not own:
            raise NotFound(f"There is no machine of your own called {named}.", hint="claw servers ls lists them.")
        api.request("DELETE", f"{_PATH}/{own[0]['id']}", query={"lost": "true" if lost else None})
    say(f"{own[0]['name']} is forgotten.")


def reboot_server(server_id: str) -> None:
    """`claw servers reboot`."""
    with connect() as api:
        api.post(f"{_PATH}/{server_id}/reboot")
    say(f"{server_id} restarts; its agent is heard of again within a minute or two.")


def show_servers(*, with_destroyed: bool, as_json: bool) -> None:
    """`claw servers ls`."""
    with connect() as api:
        items = [item for item in api.pages(_PATH) if with_destroyed or _state(item) != _GONE]
    if as_json:
        print_list(items)
    elif items:
        print_table(
            ("SERVER", "NAME", "PROVIDER", "REGION", "STATE", "ADDRESS", "INSTANCE", "SEEN"),
            [_row(item) for item in items],
        )
        for item in items:
            if item["state"] in _IN_TROUBLE and item["detail"]:
                say(item["detail"] if item["name"] in item["detail"] else f"{item['name']}: {item['detail']}")
    else:
        say("There are none.")


def _state(item: Json) -> str:
    return item["state"] if item["destroyed_at"] is None else paid_for(item.get("paid_until")) or _GONE


def _row(item: Json) -> list[str]:
    words = [word(item[key]) for key in ("id", "name", "provider", "region")]
    return [*words, word(_state(item)), word(item["host"]), word(item["instance_id"]), age(item["observed_at"])]
