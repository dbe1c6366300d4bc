"""Server-sent events, read as the HTML standard says (§9.2.6)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ServerEvent:
    """One event of a stream; `id` is the last one seen, and empty until the stream sends one."""

    type: str
    data: str
    id: str


def parse_events(lines: Iterable[str]) -> Iterator[ServerEvent]:
    """Events from the lines of a stream; comments (keep-alives) and events without data are skipped."""
    event_type, data, last_id = "", list[str](), ""
    for line in lines:
        if not line:
            if data:
                yield ServerEvent(type=event_type or "message", data="\n".join(data), id=last_id)
            event_type, data = "", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            event_type = value
        elif name == "id" and "\0" not in value:
            last_id = value
