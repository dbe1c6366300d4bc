"""What to do about a cell nobody is working on: a pure decision over what was seen, and a memory of restarts."""

import time
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from clawdeploy_provisioner.providers.docker.settings import DockerSettings
from clawdeploy_provisioner.providers.docker.sight import Container, Sight


class Verdict(StrEnum):
    """What supervision does next. Restarting what ended by itself is the engine's own work."""

    NOTHING = "nothing"
    RESUME = "resume"
    RENAME = "rename"
    GIVE_UP = "give_up"
    NOTE_FULL_DISK = "note_full_disk"
    RENEW_AFTER_FULL_DISK = "renew_after_full_disk"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A verdict and the sentence a person reads."""

    verdict: Verdict
    reason: str = ""


_NOTHING = Decision(verdict=Verdict.NOTHING)


def decide(sight: Sight, settings: DockerSettings, *, restarts: int, disk_free: int | None) -> Decision:
    """What a cell needs; a stop that was asked for, here or at the engine, and an error that was reported are left alone."""
    container, record, anchor = sight.container, sight.kept.record, sight.anchor
    if container is None or anchor is None:
        return _NOTHING
    if container.name != anchor.container:
        return Decision(verdict=Verdict.RENAME, reason=f"it was renamed to {container.name}")
    if record.parked:
        return Decision(verdict=Verdict.RESUME, reason="the platform is up again")
    if record.desired == "stopped" or record.failure is not None:
        return _NOTHING
    if (reason := why_hopeless(sight, settings, restarts=restarts)) is not None:
        return Decision(verdict=Verdict.GIVE_UP, reason=reason)
    return _about_disk(sight, settings, disk_free) if container.is_up else _NOTHING


def why_hopeless(sight: Sight, settings: DockerSettings, *, restarts: int) -> str | None:
    """How a sentence about its end goes on when the engine need not try again to restart it, else None."""
    container = sight.container
    if container is None or not container.restarts or sight.kept.record.desired == "stopped":
        return None
    if not sight.kept.was_ready:
        return "before it was ready"
    if restarts <= settings.restarts_allowed:
        return None
    return f"after {settings.restarts_allowed} restarts in {settings.restart_window_seconds / 60:.0f} minutes"


def _about_disk(sight: Sight, settings: DockerSettings, disk_free: int | None) -> Decision:
    if disk_free is None:
        return _NOTHING
    noted = sight.kept.record.disk_was_full
    if disk_free < settings.disk_minimum_bytes:
        return _NOTHING if noted else Decision(verdict=Verdict.NOTE_FULL_DISK, reason="the disk is almost full")
    return Decision(verdict=Verdict.RENEW_AFTER_FULL_DISK, reason="the disk has room again") if noted else _NOTHING


@dataclass
class Restarts:
    """How often the engine restarted a container within the window; the engine itself counts since the last start."""

    window_seconds: float
    _seen: dict[str, deque[tuple[float, int]]] = field(default_factory=dict[str, deque[tuple[float, int]]])

    def within(self, container: Container | None) -> int:
        """Take a look at the container and count."""
        if container is None:
            return 0
        seen, now = self._seen.setdefault(container.id, deque(maxlen=200)), time.monotonic()
        if not seen or seen[-1][1] > container.restarts:  # started anew
            seen.clear()
            seen.append((now, 0))
        if container.restarts != seen[-1][1]:
            seen.append((now, container.restarts))
        while len(seen) > 1 and now - seen[1][0] > self.window_seconds:
            seen.popleft()
        return container.restarts - seen[0][1]

    def forget(self, container_id: str) -> None:
        """The container is gone."""
        self._seen.pop(container_id, None)
