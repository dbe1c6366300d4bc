"""What can be seen of one server at this moment."""

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
from clawdeploy_provisioner.providers.protocol import ServerNotFound

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


def is_disk_low(sight: Sight, settings: ProcessSettings) -> bool:
    """Whether the agent's disk is below the minimum; its gateway stays "healthy" then and cannot answer."""
    return sight.disk_free is not None and sight.disk_free < settings.disk_minimum_bytes


def is_starting(sight: Sight, *, since: datetime) -> bool:
    """Whether its gateway was launched after ``since`` and has not been seen started."""
    launch = None if sight.record is None else sight.record.launch
    return launch is not None and sight.gateway is not None and launch.started_at > since and not sight.ready


def recent(record: ServerRecord, settings: ProcessSettings) -> list[datetime]:
    """Automatic restarts that still count."""
    since = datetime.now(UTC) - timedelta(seconds=settings.restart_window_seconds)
    return [moment for moment in record.restarts if moment > since]
