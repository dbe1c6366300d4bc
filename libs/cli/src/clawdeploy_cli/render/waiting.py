"""A wait that has no steps to show: said at once to a person, after a moment on a pipe."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.live import Live
from rich.spinner import Spinner

from clawdeploy_cli.render.console import live_console, say, stderr
from clawdeploy_cli.render.words import duration

TOLD_AFTER_S = 3.0


@contextmanager
def waiting(text: str) -> Generator[Callable[[], None]]:
    """Say what is waited for, and for how long, until the block ends or the yielded function is called."""
    with _live(text) if stderr().is_terminal else _told_later(text) as end:
        yield end


@contextmanager
def _live(text: str) -> Generator[Callable[[], None]]:
    began = time.monotonic()
    spinner = Spinner("dots")

    def render() -> Spinner:
        spinner.update(text=f"{text} … {duration(time.monotonic() - began)}")
        return spinner

    live = Live(get_renderable=render, console=live_console(), refresh_per_second=8, transient=True)
    with live:
        yield live.stop


@contextmanager
def _told_later(text: str) -> Generator[Callable[[], None]]:
    timer = threading.Timer(TOLD_AFTER_S, say, args=(f"{text} …",))
    timer.daemon = True
    timer.start()
    try:
        yield timer.cancel
    finally:
        timer.cancel()
