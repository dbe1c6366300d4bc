"""Print the event catalogue as Markdown: ``python -m clawdeploy_events``."""

import inspect
import sys

import clawdeploy_events
from clawdeploy_common.events import TOPICS, Event, registry, topic_of

_HEAD = """# Event catalogue

Generated from `libs/events` by `make docs`; do not edit. How events travel and how to add one: [events.md](events.md).
"""


def catalogue() -> str:
    """The whole document."""
    parts = [_HEAD]
    for producer in TOPICS:
        parts.append(
            f"\n## `{topic_of(producer)}`: produced by `{producer}`\n\n| event | tells | fields |\n|---|---|---|\n"
        )
        parts += [_row(event) for event in registry.all() if event.producer == producer]
    return "".join(parts)


def _row(event: type[Event]) -> str:
    fields = ", ".join(f"`{name}`" for name in event.model_fields)
    note = " (internal)" if event.internal else ""
    return f"| `{event.event_type}`{note} | {' '.join((inspect.getdoc(event) or '').split())} | {fields} |\n"


if __name__ == "__main__":
    sys.stdout.write(catalogue() if clawdeploy_events.__all__ else "")
