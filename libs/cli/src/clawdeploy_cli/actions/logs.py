"""What an agent wrote to its log."""

import sys

from clawdeploy_cli.client.connect import connect
from clawdeploy_cli.client.instances import find_instance
from clawdeploy_cli.client.sse import parse_events
from clawdeploy_cli.render.console import clean, print_json


def print_logs(name: str, *, tail: int, as_json: bool, one_by_one: bool) -> None:
    """`claw logs`; with `one_by_one` JSON has one object a line, as what follows will."""
    with connect() as api:
        found = api.get(f"/v1/instances/{find_instance(api, name)['id']}/logs", tail=tail)
    text = str(found["logs"])
    if as_json and not one_by_one:
        print_json(found)
        return
    for line in text.splitlines():
        _print_line(line, as_json=as_json)


def follow_logs(name: str, *, as_json: bool) -> None:
    """New lines as they come, until Ctrl-C."""
    with connect() as api:
        instance_id = find_instance(api, name)["id"]
        with api.stream("GET", f"/v1/instances/{instance_id}/logs/stream") as response:
            for event in parse_events(response.iter_lines()):
                if event.type == "line":
                    _print_line(event.data, as_json=as_json)


def _print_line(line: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"line": line}, one_line=True)
    else:
        sys.stdout.write(f"{clean(line)}\n")
        sys.stdout.flush()
