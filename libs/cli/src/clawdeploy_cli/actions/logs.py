"""What an agent wrote to its log."""

import sys
import time

import httpx

from clawdeploy_cli.client.connect import connect
from clawdeploy_cli.client.instances import find_instance
from clawdeploy_cli.client.sse import parse_events
from clawdeploy_cli.errors import NotReady
from clawdeploy_cli.render.console import clean, print_json, say

RECONNECT_S = 1.0


def print_logs(name: str, *, tail: int, as_json: bool) -> None:
    """`claw logs`."""
    with connect() as api:
        found = api.get(f"/v1/instances/{find_instance(api, name)['id']}/logs", tail=tail)
    text = str(found["logs"])
    if as_json:
        print_json(found)
        return
    for line in text.splitlines():
        _print_line(line, as_json=False)


def follow_logs(name: str, *, tail: int, as_json: bool) -> None:
    """The last lines, then new ones as they come, until Ctrl-C; a lost connection is taken up again. JSON has one object a line."""
    wanted, away = tail, False
    with connect() as api:
        instance_id = find_instance(api, name)["id"]
        while True:
            try:
                with api.stream("GET", f"/v1/instances/{instance_id}/logs/stream", tail=wanted) as response:
                    wanted, away = 0, False
                    _print_events(response, as_json=as_json)
            except NotReady as error:
                if not away:
                    say(
                        f"{error.message} Trying again until it does; lines may be missing here …", style="bright_black"
                    )
                away = True
            time.sleep(RECONNECT_S)


def _print_events(response: httpx.Response, *, as_json: bool) -> None:
    for event in parse_events(response.iter_lines()):
        if event.type == "line":
            _print_line(event.data, as_json=as_json)


def _print_line(line: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"line": line}, one_line=True)
    else:
        sys.stdout.write(f"{clean(line)}\n")
        sys.stdout.flush()
