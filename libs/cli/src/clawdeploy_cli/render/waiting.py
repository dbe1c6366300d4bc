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
TOLD_AGAIN_S = 15.0


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
    ended = threading.Event()
    threading.Thread(target=_tell, args=(text, ended), daemon=True).start()
    try:
        yield ended.set
    finally:
        ended.set()


def _tell(text: str, ended: threading.Event) -> None:
    began, pause = time.monotonic(), TOLD_AFTER_S
    while not ended.wait(pause):
        say(f"{text} … {duration(time.monotonic() - began)}")
        pause = TOLD_AGAIN_S
