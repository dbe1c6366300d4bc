"""What can be seen of one server at this moment, and how that reads as the provider's answer."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from clawdeploy_common.redaction import Redactor
from clawdeploy_provisioner.providers.process import cell as cells
from clawdeploy_provisioner.providers.process import journal
from clawdeploy_provisioner.providers.process.cell import Cell
from clawdeploy_provisioner.providers.process.directory import ServerDirectory
from clawdeploy_provisioner.providers.process.procfs import Process
from clawdeploy_provisioner.providers.process.record import Failure, ServerRecord
from clawdeploy_provisioner.providers.process.reservations import Reservation
from clawdeploy_provisioner.providers.process.settings import ProcessSettings
from clawdeploy_provisioner.providers.protocol import Address, Exit, Server, ServerNotFound, ServerState

LAST_LINES = 20
HOST = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Sight:
    """One look at one server: its directory's record, its processes, its reservation."""

    server_id: UUID
    files: ServerDirectory
    record: ServerRecord | None
    reservation: Reservation | None
    cell: Cell
    members: dict[int, Process]
    gateway: Process | None
    disk_free: int | None

    @property
    def known(self) -> bool:
        """Whether there is any trace of it."""
        return self.record is not None or self.reservation is not None or bool(self.members)

    def require_record(self) -> ServerRecord:
        """The record of a server that has its directory.

        Raises:
            ServerNotFound: it has none.
        """
        if self.record is None:
            raise ServerNotFound(self.server_id)
        return self.record

    @property
    def ready(self) -> bool:
        """Whether the running gateway has been seen started."""
        return self.gateway is not None and self.record is not None and self.files.is_ready(self.record.launch)


def look(server_id: UUID, *, settings: ProcessSettings, reservation: Reservation | None) -> Sight:
    """Read the directory and the process table; blocking, some milliseconds."""
    files = ServerDirectory(settings.instances_dir / str(server_id))
    record = files.read()
    uid = record.uid if record is not None else reservation.uid if reservation is not None else None
    cell = Cell(server_id=str(server_id), directory=files.path, uid=uid)
    launch = None if record is None else record.launch
    return Sight(
        server_id=server_id,
        files=files,
        record=record,
        reservation=reservation,
        cell=cell,
        members=cell.members(),
        gateway=cell.gateway(launch),
        disk_free=free_bytes(settings.instances_dir),
    )


def free_bytes(directory: Path) -> int | None:
    """Bytes an agent may still write; None when the directory is not there."""
    try:
        return shutil.disk_usage(directory).free
    except FileNotFoundError:
        return None


def redactor_of(sight: Sight) -> Redactor:
    """Knows every secret the agent was given, and the name of its identity header."""
    values = list(sight.files.read_secrets().values())
    if sight.record is not None and sight.record.configured is not None:
        values.append(sight.record.configured.identity.header)
    return Redactor(values)


def last_lines(sight: Sight, *, count: int = LAST_LINES) -> list[str]:
    """What the gateway wrote last, redacted."""
    return journal.last_lines(sight.files.log, count=count, redactor=redactor_of(sight))


def failure_now(sight: Sight, reason: str) -> Failure:
    """The failure to record for a gateway that has just been found dead."""
    launch = None if sight.record is None else sight.record.launch
    return Failure(
        reason=reason,
        exit_code=cells.exit_code(launch),
        last_lines=last_lines(sight),
        before_ready=not sight.files.is_ready(launch),
    )


def as_server(sight: Sight, settings: ProcessSettings) -> Server:
    """The provider's answer; without a directory the server is gone, whatever still runs."""
    record = sight.record
    if record is None:
        detail = (
            f"its directory is gone; {len(sight.members)} of its processes still run"
            if sight.members
            else "its directory is gone"
        )
        return Server(
            server_id=sight.server_id,
            instance_id=None,
            provider_ref=str(sight.files.path),
            state=ServerState.GONE,
            detail=detail,
        )
    state, detail = _state(sight, record, settings)
    return Server(
        server_id=record.server_id,
        instance_id=record.instance_id,
        provider_ref=str(sight.files.path),
        state=state,
        address=Address(host=HOST, port=record.port),
        created_at=record.created_at,
        started_at=record.launch.started_at if record.launch is not None and sight.gateway is not None else None,
        detail=detail,
        ready=sight.ready,
        memory_bytes=cells.resident_bytes(sight.members),
        disk_free_bytes=sight.disk_free,
        restarts=len(recent(record, settings)),
        exited=_exit(record),
    )


def _state(sight: Sight, record: ServerRecord, settings: ProcessSettings) -> tuple[ServerState, str | None]:
    if record.failure is not None:
        return ServerState.ERROR, record.failure.reason
    if sight.gateway is None:
        wanted = "it vanished and will be restarted" if record.desired == "running" else None
        return ServerState.OFF, wanted
    if is_disk_low(sight, settings):
        return (
            ServerState.RUNNING,
            f"the disk is almost full ({(sight.disk_free or 0) // 1_000_000} MB free): answers may fail",
        )
    if record.disk_was_full:
        return ServerState.RUNNING, "the disk was full: a restart is due, until then answers may fail"
    return ServerState.RUNNING, None if sight.ready else "starting"


def _exit(record: ServerRecord) -> Exit | None:
    failure = record.failure
    if failure is None:
        return None
    return Exit(exit_code=failure.exit_code, last_lines=failure.last_lines, before_ready=failure.before_ready)


def is_disk_low(sight: Sight, settings: ProcessSettings) -> bool:
    """Whether the agent's disk is below the minimum; its gateway stays "healthy" then and cannot answer."""
    return sight.disk_free is not None and sight.disk_free < settings.disk_minimum_bytes


def recent(record: ServerRecord, settings: ProcessSettings) -> list[datetime]:
    """Automatic restarts that still count."""
    since = datetime.now(UTC) - timedelta(seconds=settings.restart_window_seconds)
    return [moment for moment in record.restarts if moment > since]
