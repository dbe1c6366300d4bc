"""Starting, awaiting and stopping the platform of a home, from any `claw` command."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

from clawdeploy_cli.errors import Failed, NotReady
from clawdeploy_cli.home import Home
from clawdeploy_cli.processes import send_signal, wait_gone
from clawdeploy_cli.settings import ENV_FILE_VARIABLE, CliSettings, env_file
from clawdeploy_cli.supervisor.instances import park_instances
from clawdeploy_cli.supervisor.lock import GLANCE_S, HomeIsSupervised, HomeLock
from clawdeploy_cli.supervisor.logs import last_lines, open_log, rotate
from clawdeploy_cli.supervisor.preflight import end_leftovers, make_ready
from clawdeploy_cli.supervisor.state import PlatformRecord, ServiceState, read_record

READY_WITHIN_S = 150.0
GONE_WITHIN_S = 60.0
POLL_S = 0.1
SUPERVISOR_LOG = "supervisor.log"

Progress = Callable[[PlatformRecord | None], None]


def running(home: Home) -> PlatformRecord | None:
    """The record of the platform, when a supervisor keeps it true; None when nothing runs."""
    record = read_record(home.state_file)
    return record if record is not None and record.is_current else None


def start(settings: CliSettings, *, home: Home, foreground: bool, on_stopping: Callable[[], None]) -> bool:
    """Start the supervisor in the background; False when the platform runs already. One that is just ending is awaited.

    Args:
        settings: as loaded; the supervisor loads them again by itself.
        home: where.
        foreground: the supervisor (and so the platform) ends, in order, when this process ends, however it ends.
        on_stopping: called once when there is an end to wait for.

    Raises:
        Refused: the home or a port cannot be used.
    """
    home.ensure()
    if _is_ending(home):
        on_stopping()
        _await_end(home)
    try:
        with _locked(home):
            make_ready(home, settings)
    except HomeIsSupervised:
        return False
    _spawn_supervisor(home, foreground=foreground)
    return True


def _await_end(home: Home) -> None:
    deadline = time.monotonic() + GONE_WITHIN_S
    while _is_ending(home) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _is_ending(home: Home) -> bool:
    """Whether the home is still in the hands of a supervisor that was told to end, or of a `claw down`."""
    record = read_record(home.state_file)
    return (record is None or record.stopping or not record.is_current) and _is_supervised(home)


def await_ready(home: Home, *, on_progress: Progress, within_s: float = READY_WITHIN_S) -> PlatformRecord:
    """Wait until every process is ready.

    Raises:
        Failed: a process keeps ending; the message has its last lines.
        NotReady: not everything was ready in time.
    """
    deadline = time.monotonic() + within_s
    seen = False
    while time.monotonic() < deadline:
        record = running(home)
        on_progress(record)
        if record is not None and record.is_ready:
            return record
        seen = _refuse_hopeless(home, record, seen=seen)
        time.sleep(POLL_S)
    raise NotReady(f"The platform was not ready within {within_s:.0f} s.", hint="Look at: claw status")


def stop(home: Home, *, on_progress: Progress | None = None) -> int:
    """Stop the platform and its instances in order; answers how many processes were stopped.

    Works too when the supervisor was killed and left something behind.
    """
    record = running(home)
    if record is None:
        return _stop_without_supervisor(home)
    send_signal(record.supervisor, signal.SIGTERM)
    deadline = time.monotonic() + GONE_WITHIN_S
    while not wait_gone([record.supervisor], timeout_s=POLL_S):
        if on_progress is not None:
            on_progress(running(home))
        if time.monotonic() > deadline:
            raise Failed(f"The supervisor (pid {record.supervisor.pid}) does not end.", hint=f"See {home.logs}")
    with suppress(HomeIsSupervised):  # by a `claw up` that waited for this
        _end_what_is_left(home)
    return sum(service.identity is not None for service in record.services)


def _stop_without_supervisor(home: Home) -> int:
    if not home.exists:
        return 0
    try:
        return _end_what_is_left(home)
    except HomeIsSupervised:
        raise NotReady("The platform is just starting or ending.", hint="Try again in a moment.") from None


def _end_what_is_left(home: Home) -> int:
    with _locked(home):
        return end_leftovers(home) + park_instances(home)


def _refuse_hopeless(home: Home, record: PlatformRecord | None, *, seen: bool) -> bool:
    """Stop waiting when waiting cannot help; answers whether the supervisor has been seen."""
    if record is None:
        if seen or not _is_supervised(home):
            _raise_if_still_unsupervised(home)
        return seen
    for service in record.services:
        if service.state is ServiceState.FAILED:
            lines = "\n".join(f"  {line}" for line in last_lines(service.log))
            raise Failed(
                f"{service.name} {service.reason}. Its last lines:\n{lines}", hint=f"The whole log: {service.log}"
            )
    return True


def _raise_if_still_unsupervised(home: Home) -> None:
    """The supervisor needs a moment from its start to the lock, hence the second look."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if _is_supervised(home) or running(home) is not None:
            return
        time.sleep(POLL_S)
    lines = "\n".join(last_lines(home.logs / SUPERVISOR_LOG))
    raise Failed(f"The supervisor ended:\n{lines}", hint=f"The whole log: {home.logs / SUPERVISOR_LOG}")


def _is_supervised(home: Home) -> bool:
    try:
        with _locked(home, within_s=0):
            return False
    except HomeIsSupervised:
        return True


def _spawn_supervisor(home: Home, *, foreground: bool) -> None:
    command = [sys.executable, "-m", "clawdeploy_cli.supervisor"]
    rotate(home.logs / SUPERVISOR_LOG)
    descriptor = open_log(home.logs / SUPERVISOR_LOG)
    environment = {**os.environ, "CLAWDEPLOY_HOME": str(home.path), ENV_FILE_VARIABLE: str(env_file().absolute())}
    try:
        subprocess.Popen(  # noqa: S603 - our own interpreter and module
            _tied_to_us(command) if foreground else command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)


def _tied_to_us(command: list[str]) -> list[str]:
    from clawdeploy_cli.engines.leash import leashed  # noqa: PLC0415 - only the foreground needs it

    return leashed(command)


@contextmanager
def _locked(home: Home, *, within_s: float = GLANCE_S) -> Generator[None]:
    lock = HomeLock(home.lock_file)
    try:
        lock.acquire(within_s=within_s)
        yield
    finally:
        lock.release()
