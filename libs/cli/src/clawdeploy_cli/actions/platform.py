"""Bringing the platform up and down, and showing it."""

import signal
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from clawdeploy_cli import control
from clawdeploy_cli.errors import NotReady
from clawdeploy_cli.home import Home, open_home
from clawdeploy_cli.processes import is_alive
from clawdeploy_cli.render.console import print_json, print_table, say
from clawdeploy_cli.render.platform import PlatformDisplay
from clawdeploy_cli.render.waiting import waiting
from clawdeploy_cli.render.words import age, word
from clawdeploy_cli.settings import CliSettings, load_settings
from clawdeploy_cli.supervisor.state import PlatformRecord, ServiceRecord, ServiceState

STAND_IN_NOTICE = (
    "No OpenRouter key was given: a stand-in answers, it is not a real model. (Set OPENROUTER_MANAGEMENT_KEY.)"
)
FOREGROUND_POLL_S = 0.5


def bring_up(*, foreground: bool, as_json: bool) -> None:
    """`claw up`."""
    settings = load_settings()
    home = open_home(settings.home)
    with terminable():
        started = control.start(settings, home=home, foreground=foreground, on_stopping=say_stopping)
        record = await_shown(home, started=started)
        if as_json:
            print_json(status_json(record))
        else:
            _say_ready(record, home, started=started)
            _say_when_port_stays(record, settings, started=started)
        if foreground and started:
            stay(home)


def await_shown(home: Home, *, started: bool) -> PlatformRecord:
    """Wait for the platform, showing it come up; when that fails, stop what was started."""
    record = control.running(home)
    if not started and record is not None and record.is_ready:
        return record
    try:
        with PlatformDisplay("Starting the platform") as display:
            return control.await_ready(home, on_progress=display.update)
    except BaseException:
        if started:
            stop_shown(home)
        raise


def say_stopping() -> None:
    """Tell why nothing starts yet."""
    say("The platform is just starting or stopping: waiting …")


def stay(home: Home) -> None:
    """Remain until Ctrl-C or SIGTERM, or until the platform is gone; then everything started is stopped."""
    say("Ctrl-C stops everything; the data stay.", style="bright_black")
    try:
        while (record := control.running(home)) is not None and not record.stopping:
            time.sleep(FOREGROUND_POLL_S)
    except KeyboardInterrupt:
        pass
    finally:
        stop_shown(home)


def stop_shown(home: Home) -> int:
    """Stop everything in order; a second Ctrl-C does not hurry what must end in order."""
    say("Stopping …")
    with _uninterrupted():
        count = control.stop(home)
    say(f"Stopped. The data are in {home.path}.")
    return count


def bring_down(*, as_json: bool) -> None:
    """`claw down`."""
    home = open_home(load_settings().home)
    with _uninterrupted(), waiting("Stopping the platform"):
        count = control.stop(home)
    if as_json:
        print_json({"stopped": count})
    elif count:
        say(f"Stopped {count} processes. The data stay in {home.path}.")
    else:
        say("The platform is not running.")


def show_status(*, as_json: bool) -> None:
    """`claw status`.

    Raises:
        NotReady: after showing it, when it does not run or not everything is ready.
    """
    home = open_home(load_settings().home)
    record = control.running(home)
    if as_json:
        print_json(status_json(record))
    elif record is not None:
        _print_status(record, home)
    if record is None:
        raise NotReady("The platform is not running.", hint="Start it with: claw up")
    if not record.is_ready:
        raise NotReady("Not everything is ready.", hint=f"Logs: {home.logs}")


def status_json(record: PlatformRecord | None) -> dict[str, list[dict[str, Any]]]:
    """The platform's processes, engines included."""
    return {"services": [_service_json(service) for service in (record.services if record else [])]}


@contextmanager
def terminable() -> Generator[None]:
    """SIGTERM ends a foreground platform the way Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _service_json(service: ServiceRecord) -> dict[str, Any]:
    return {
        "name": service.name,
        "pid": _pid(service),
        "state": service.state.value,
        "since": service.since.isoformat(),
        "address": service.address,
    }


def _pid(service: ServiceRecord) -> int | None:
    return service.identity.pid if service.identity and is_alive(service.identity) else None


def _print_status(record: PlatformRecord, home: Home) -> None:
    rows = [
        (
            service.name,
            service.state.value,
            word(_pid(service)),
            age(service.since),
            word(service.address),
            _remark(service),
        )
        for service in record.services
    ]
    print_table(("NAME", "STATE", "PID", "SINCE", "ADDRESS", ""), rows)
    say(f"Address {record.url}   Home {home.path}", style="bright_black")
    if record.stand_in:
        say(STAND_IN_NOTICE, style="yellow")


def _remark(service: ServiceRecord) -> str:
    restarted = f"restarted {service.restarts}x" if service.restarts else ""
    given = "given, not ours" if service.identity is None and service.state is ServiceState.READY else ""
    return ", ".join(part for part in (given, restarted, service.reason or "") if part)


def _say_ready(record: PlatformRecord, home: Home, *, started: bool) -> None:
    say(
        f"Ready: {record.url}" if started else f"The platform is running already: {record.url}",
        style="bold green",
    )
    say(f"Home {home.path}, logs {home.logs}", style="bright_black")
    if record.stand_in:
        say(STAND_IN_NOTICE, style="yellow")
    say("Try: claw deploy my-agent --wait", style="bright_black")


def _say_when_port_stays(record: PlatformRecord, settings: CliSettings, *, started: bool) -> None:
    """Another port takes effect with the next start."""
    if not started and settings.port and settings.port != urlsplit(record.url).port:
        say(
            f"CLAWDEPLOY_PORT={settings.port} was not applied, {record.url} stays: claw down, then claw up.",
            style="yellow",
        )


@contextmanager
def _uninterrupted() -> Generator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            with suppress(TypeError):
                signal.signal(number, handler)
