"""The platform coming up, live: every process with its state and the time it took."""

import time
from typing import Self

from rich.console import Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from clawdeploy_cli.render.console import clean, live_console, say, stderr
from clawdeploy_cli.render.words import duration
from clawdeploy_cli.supervisor.state import PlatformRecord, ServiceRecord, ServiceState

_MARKS = {ServiceState.READY: ("✔", "green"), ServiceState.FAILED: ("✘", "red")}


class PlatformDisplay:
    """Shows processes becoming ready; `note` adds a line of other work that goes on meanwhile."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._began = time.monotonic()
        self._took: dict[str, float] = {}
        self._record: PlatformRecord | None = None
        self._notes: dict[str, tuple[str, bool]] = {}
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

    def update(self, record: PlatformRecord | None) -> None:
        """Show this newer view of the platform."""
        self._record = record or self._record
        for service in record.services if record else []:
            if service.state is ServiceState.READY and service.name not in self._took:
                self._took[service.name] = time.monotonic() - self._began
                self._tell(f"  ✔ {service.name}  {duration(self._took[service.name])}")

    def note(self, name: str, text: str, *, done: bool = False) -> None:
        """Show how other work is getting on."""
        if self._notes.get(name) != (text, done):
            self._notes[name] = (text, done)
            self._tell(f"  {'✔' if done else '…'} {name}: {text}")

    def _tell(self, line: str) -> None:
        if not stderr().is_terminal:
            say(line)

    def _render(self) -> Group:
        table = Table.grid(padding=(0, 1))
        for service in self._record.services if self._record else []:
            mark = Text(*_MARKS[service.state]) if service.state in _MARKS else self._spinner
            table.add_row(mark, Text(service.name), Text(self._time(service), style="bright_black", justify="right"))
        for name, (text, done) in self._notes.items():
            mark = Text("✔", "green") if done else self._spinner
            table.add_row(mark, Text(name), Text(clean(text), style="bright_black", overflow="ellipsis"))
        return Group(Text(self._title, style="bold"), table)

    def _time(self, service: ServiceRecord) -> str:
        took = self._took.get(service.name)
        reason = f"  {service.reason}" if service.reason and took is None else ""
        return duration(time.monotonic() - self._began if took is None else took) + clean(reason)
