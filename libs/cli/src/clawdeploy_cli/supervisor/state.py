"""What the supervisor knows, written for others to read: `claw status`, and the next supervisor after a crash."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from clawdeploy_cli.processes import ProcessIdentity, is_alive
from clawdeploy_cli.secret_store import write_private


class ServiceState(StrEnum):
    """`starting` until ready; `failed` after five exits within a minute (and still tried, slowly)."""

    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"


class ServiceRecord(BaseModel):
    """One process as last seen by the supervisor."""

    model_config = ConfigDict(frozen=True)

    name: str
    state: ServiceState
    since: datetime
    identity: ProcessIdentity | None
    address: str | None
    log: Path
    restarts: int
    reason: str | None


class PlatformRecord(BaseModel):
    """The whole platform; `supervisor` tells whether anybody still keeps this record true."""

    model_config = ConfigDict(frozen=True)

    supervisor: ProcessIdentity
    started_at: datetime
    url: str
    stand_in: bool
    stopping: bool
    services: list[ServiceRecord]

    @property
    def is_current(self) -> bool:
        """False for a record left behind by a supervisor that is gone."""
        return is_alive(self.supervisor)

    @property
    def is_ready(self) -> bool:
        return not self.stopping and all(service.state is ServiceState.READY for service in self.services)

    @property
    def survivors(self) -> list[ServiceRecord]:
        """Services whose process still runs."""
        return [service for service in self.services if service.identity and is_alive(service.identity)]


def read_record(path: Path) -> PlatformRecord | None:
    """The last record of a home; None when there is none (or it is unreadable, which is the same to everybody)."""
    try:
        return PlatformRecord.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def write_record(path: Path, record: PlatformRecord) -> None:
    """Replace the record at once."""
    write_private(path, record.model_dump_json(indent=2))
