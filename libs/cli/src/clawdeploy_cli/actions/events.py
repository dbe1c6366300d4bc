"""The account's events."""

import time
from collections import deque
from collections.abc import Iterator

from clawdeploy_cli.client.connect import connect
from clawdeploy_cli.client.http import ApiClient, Json
from clawdeploy_cli.client.operations import parse_json
from clawdeploy_cli.client.sse import ServerEvent, parse_events
from clawdeploy_cli.errors import NotReady
from clawdeploy_cli.render.console import print_json, print_line, print_list, say
from clawdeploy_cli.render.words import word

RECONNECT_S = 1.0
PAGE = 200  # the most the API answers at once


def list_events(after: str | None, *, limit: int, as_json: bool) -> None:
    """`claw events`."""
    with connect() as api:
        events, cursor = _read(api, after, limit=limit)
    _print_events(events, cursor, as_json=as_json)
    if cursor and not as_json:
        say(f"Go on with: claw events --after {cursor}; the newest: claw events --tail 20", style="bright_black")


def list_newest(after: str | None, *, tail: int, as_json: bool) -> None:
    """`claw events --tail`: the feed is read from its beginning, or from `after`; the last are kept."""
    newest, cursor = deque[Json](maxlen=tail), after
    with connect() as api:
        while True:
            events, cursor = _read(api, cursor, limit=PAGE)
            newest.extend(events)
            if cursor is None or len(events) < PAGE:
                break
    _print_events(list(newest), cursor, as_json=as_json)


def _print_events(events: list[Json], cursor: str | None, *, as_json: bool) -> None:
    if as_json:
        print_list(events, next_cursor=cursor)
        return
    for event in events:
        print_line(describe(event))


def _read(api: ApiClient, after: str | None, *, limit: int) -> tuple[list[Json], str | None]:
    """As many events as are wanted, page after page, and the cursor to go on from."""
    events, cursor = list[Json](), after
    while True:
        wanted = min(limit - len(events), PAGE)
        page = api.get("/v1/events", after=cursor, limit=wanted)
        events.extend(page["items"])
        cursor = page.get("next_cursor")
        if cursor is None or len(page["items"]) < wanted or len(events) >= limit:
            return events, cursor


def follow_events(after: str | None, *, as_json: bool) -> None:
    """`claw events --follow`: until Ctrl-C; a lost connection is taken up where it ended."""
    last, away = after, False
    with connect() as api:
        while True:
            try:
                for event in _stream(api, last):
                    last, away = event.id or last, False
                    _print(event, as_json=as_json)
            except NotReady as error:
                if not away:
                    say(f"{error.message} Trying again until it does …", style="bright_black")
                away = True
            time.sleep(RECONNECT_S)


def describe(event: Json) -> str:
    """One line about an event."""
    moment = word(event.get("time") or event.get("occurred_at"))
    return f"{moment}  {word(event.get('type')):<32}  {word(event.get('subject') or event.get('key'))}"


def _stream(api: ApiClient, last: str | None) -> Iterator[ServerEvent]:
    headers = {"Last-Event-ID": last} if last else {}
    with api.stream("GET", "/v1/stream", headers=headers) as response:
        yield from parse_events(response.iter_lines())


def _print(event: ServerEvent, *, as_json: bool) -> None:
    body = parse_json(event.data)
    if as_json:
        print_json(body, one_line=True)
    else:
        print_line(describe({"type": event.type, **body}))
