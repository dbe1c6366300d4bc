"""An operation's steps, live: every step with its state and the time it took."""

from datetime import UTC, datetime
from typing import Any, Self, cast

from rich.console import Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from clawdeploy_cli.client.http import Json
from clawdeploy_cli.render.console import STATUS_STYLES, clean, live_console, say, stderr
from clawdeploy_cli.render.words import duration, instant

_MARKS = {"done": "✔", "failed": "✘", "compensated": "↩", "skipped": "-", "pending": "·"}
_SETTLED = frozenset({"done", "failed", "compensated", "skipped"})
_TOLD_AFTER_S = (
    3,
    15,
    30,
    60,
    120,
    300,
)  # on a pipe a running step is told of at these ages, so that silence stays short

_BEGINS_WITHIN_S = 10


class StepsDisplay:
    """Shows an operation while it runs; on a pipe one plain line when a step settles, takes long, or has something to say."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._operation: Json = {"steps": [], "state": "queued", "created_at": None}
        self._told: set[tuple[str, ...]] = set()
        self._ahead = ""
        self._spinner = Spinner("dots")
        self._live = Live(get_renderable=self._render, console=live_console(), refresh_per_second=8)

    def __enter__(self) -> Self:
        if stderr().is_terminal:
            self._live.start()
        else:
            say(self._title)
        return self

    def __exit__(self, *error: object) -> None:
        if stderr().is_terminal:
            self._live.stop()

    def update(self, operation: Json, *, ahead: Json | None = None) -> None:
        """Show this newer view of the operation, and of the one it waits for."""
        self._operation = operation
        self._ahead = waits_for(ahead) if ahead else not_begun(operation)
        if not stderr().is_terminal:
            self._tell_ahead(ahead)
            self._tell_news()

    def _tell_ahead(self, ahead: Json | None) -> None:
        news = ("ahead", str(ahead["kind"]), running_step(ahead, timed=False)) if ahead else ("ahead", self._ahead)
        if self._ahead and news not in self._told:
            self._told.add(news)
            say(f"  {self._ahead}")

    def _tell_news(self) -> None:
        for step in self._operation["steps"]:
            news = (str(step["name"]), *_news(step))
            if len(news) > 1 and news not in self._told:
                self._told.add(news)
                mark = _MARKS.get(str(step["state"]), "…")
                parts = (f"  {mark} {title(step)}", elapsed(step), str(step.get("message") or ""))
                say("  ".join(part for part in parts if part))

    def _render(self) -> Group:
        table = Table.grid(padding=(0, 1))
        for step in self._operation["steps"]:
            table.add_row(self._mark(step), Text(title(step)), _time(step), _message(step))
        started = self._operation.get("created_at")
        total = duration(_since(started)) if started and self._operation["state"] not in {"succeeded", "failed"} else ""
        title_line = Text(f"{self._title}  {total}".rstrip(), style="bold")
        return (
            Group(title_line, Text(f"  {self._ahead}", style="bright_black"), table)
            if self._ahead
            else Group(title_line, table)
        )

    def _mark(self, step: Json) -> Text | Spinner:
        state = str(step["state"])
        return self._spinner if state == "running" else Text(_MARKS.get(state, "?"), style=STATUS_STYLES.get(state, ""))


def _news(step: Json) -> tuple[str, ...]:
    """What of a step is worth a line, once: its end; while it runs, its message or its age; nothing before."""
    state = str(step["state"])
    if state in _SETTLED:
        return (state,)
    if state != "running":
        return ()
    if step.get("message"):
        return (str(step["message"]),)
    age = _since(step["started_at"]) if step.get("started_at") else 0
    return tuple([str(limit) for limit in _TOLD_AFTER_S if age >= limit][-1:])


def waits_for(ahead: Json) -> str:
    """What a queued operation waits for: `waiting for the start under way: Wait until it has started, 12 s`."""
    step = running_step(ahead)
    return f"waiting for the {ahead['kind']} under way{': ' if step else ''}{step}"


def not_begun(operation: Json) -> str:
    """What is wrong with an operation that waits for no other and has not begun after ten seconds; empty otherwise."""
    created = operation.get("created_at")
    waits = operation["state"] == "queued" and created and _since(created) >= _BEGINS_WITHIN_S
    return (
        "it has not begun yet: nothing has taken it on (claw status shows whether the provisioner runs)"
        if waits
        else ""
    )


def running_step(operation: Json, *, timed: bool = True) -> str:
    """The title of the step an operation is at, and since when; empty when none runs."""
    steps = cast("list[Json]", operation.get("steps") or [])
    step = next((step for step in steps if step["state"] == "running"), None)
    if step is None:
        return ""
    return f"{title(step)}, {elapsed(step)}" if timed and step.get("started_at") else title(step)


def title(step: Json) -> str:
    """A step's title; its name in words when it has none."""
    return clean(str(step.get("title") or step["name"].replace("_", " ")))


def elapsed(step: Json, *, now: datetime | None = None) -> str:
    """How long a step took, or has been running; empty before it starts."""
    started, finished = step.get("started_at"), step.get("finished_at")
    if not started:
        return ""
    end = instant(finished) if finished else (now or datetime.now(UTC))
    return duration((end - instant(started)).total_seconds())


def _time(step: Json) -> Text:
    return Text(elapsed(step), style="bright_black", justify="right")


def _message(step: Json) -> Text:
    text: Any = step.get("message")
    return Text(
        clean(str(text)) if text and step["state"] != "pending" else "", style="bright_black", overflow="ellipsis"
    )


def _since(moment: str) -> float:
    return (datetime.now(UTC) - instant(moment)).total_seconds()


def elapsed_total(operation: Json) -> str:
    """How long an operation took, from the request to its end."""
    if not operation.get("created_at") or not operation.get("finished_at"):
        return "-"
    return duration((instant(operation["finished_at"]) - instant(operation["created_at"])).total_seconds())
