"""What to do about a server nobody is working on: a pure decision over what was seen."""

from dataclasses import dataclass
from enum import StrEnum

from clawdeploy_provisioner.providers.process import cell as cells
from clawdeploy_provisioner.providers.process import procfs
from clawdeploy_provisioner.providers.process.record import ServerRecord
from clawdeploy_provisioner.providers.process.settings import ProcessSettings
from clawdeploy_provisioner.providers.process.sight import Sight, is_disk_low, recent


class Verdict(StrEnum):
    """What supervision does next."""

    NOTHING = "nothing"
    RESUME = "resume"
    RESTART = "restart"
    GIVE_UP = "give_up"
    STOP_FOR_MEMORY = "stop_for_memory"
    NOTE_FULL_DISK = "note_full_disk"
    RENEW_AFTER_FULL_DISK = "renew_after_full_disk"


LAUNCHES = frozenset({Verdict.RESUME, Verdict.RESTART, Verdict.RENEW_AFTER_FULL_DISK})
"""Those that start a gateway; they wait while too many others start."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A verdict and the sentence a person reads."""

    verdict: Verdict
    reason: str = ""


_NOTHING = Decision(verdict=Verdict.NOTHING)


def decide(sight: Sight, settings: ProcessSettings) -> Decision:
    """What a server needs; a stop that was asked for and an error that was reported are left alone."""
    record = sight.record
    if record is None or record.desired == "stopped" or record.failure is not None:
        return _NOTHING
    if sight.gateway is None:
        return _about_vanished(sight, record, settings)
    return _about_running(sight, record, settings)


def _about_vanished(sight: Sight, record: ServerRecord, settings: ProcessSettings) -> Decision:
    launch = record.launch
    if launch is None or launch.boot_id != procfs.boot_id():
        return Decision(verdict=Verdict.RESUME, reason="the machine or the platform was restarted")
    ended = f"OpenClaw ended by itself (exit code {cells.exit_code(launch)})"
    if not launch.automatic and not sight.files.is_ready(launch):
        return Decision(verdict=Verdict.GIVE_UP, reason=f"{ended} before it was ready")
    if len(recent(record, settings)) >= settings.restarts_allowed:
        minutes = settings.restart_window_seconds / 60
        return Decision(
            verdict=Verdict.GIVE_UP,
            reason=f"{ended} after {settings.restarts_allowed} restarts in {minutes:.0f} minutes",
        )
    return Decision(verdict=Verdict.RESTART, reason=ended)


def _about_running(sight: Sight, record: ServerRecord, settings: ProcessSettings) -> Decision:
    used, allowed = cells.resident_bytes(sight.members), record.memory_mb * 1_048_576
    if used > allowed:
        reason = f"it used {used // 1_048_576} MB of memory, its plan has {record.memory_mb} MB"
        return Decision(verdict=Verdict.STOP_FOR_MEMORY, reason=reason)
    if is_disk_low(sight, settings):
        return (
            _NOTHING
            if record.disk_was_full
            else Decision(verdict=Verdict.NOTE_FULL_DISK, reason="the disk is almost full")
        )
    if record.disk_was_full:
        return Decision(verdict=Verdict.RENEW_AFTER_FULL_DISK, reason="the disk has room again")
    return _NOTHING
