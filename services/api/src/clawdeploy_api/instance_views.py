"""Writing what was told of instances: the lifecycle's columns and health's columns of one row, each by its own topic."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Text, Uuid, bindparam, text

from clawdeploy_common.session import Session

Values = Mapping[str, Any]
_TIME = DateTime(timezone=True)


def _written(columns: str, *, guard: str = "") -> Any:
    """An upsert of some lifecycle columns; each names its value ``:column``, or is set to NULL by ``column=``."""
    names = [part.strip() for part in columns.split(",")]
    plain = [name for name in names if not name.endswith("=")]
    cleared = [name.removesuffix("=") for name in names if name.endswith("=")]
    sets = [f"{name} = excluded.{name}" for name in plain] + [f"{name} = NULL" for name in cleared]
    statement = text(
        f"""
        INSERT INTO instance_views AS v (instance_id, account_id, {", ".join(plain)})
        VALUES (:instance_id, :account_id, {", ".join(f":{name}" for name in plain)})
        ON CONFLICT (instance_id) DO UPDATE SET account_id = coalesce(v.account_id, excluded.account_id), {", ".join(sets)} {guard}
        """  # noqa: S608 - column names of this module
    )
    times = ("state_at", "deployed_at", "health_at", "server_paid_until")
    types = {"account_id": Uuid, "server_id": Uuid, **dict.fromkeys(times, _TIME)}
    texts = {"reason", "endpoint", "server_state", "server_detail", "provider_ref", "health_detail", "state"}
    used = {"account_id", *plain}
    return statement.bindparams(
        *(bindparam(name, type_=type_) for name, type_ in types.items() if name in used),
        *(bindparam(name, type_=Text) for name in texts & used),
    )


_STATE = "state, state_version, state_at"
_DEPLOYED = _written(f"{_STATE}, server_id, endpoint, deployed_at, server_state, reason=, server_detail=")
_FAILED = _written(f"{_STATE}, reason")
_CANCELLED = _written(f"{_STATE}, reason", guard="WHERE v.server_id IS NULL")
_SETTLED = _written(f"{_STATE}, reason=", guard="WHERE v.state IS DISTINCT FROM excluded.state")
_STARTED = _written(f"{_STATE}, server_id, server_state, reason=, server_detail=")
_STARTED_AT = _written("endpoint")
_STOPPED = _written(f"{_STATE}, server_state, reason, server_detail=")
_CREATED = _written("state_version, state_at, server_id, provider_ref, server_state, server_detail=")
_GONE = _written(
    "state_version, server_id=, provider_ref=, server_state=, server_detail=, endpoint=",
    guard="WHERE v.server_id = :gone",
).bindparams(bindparam("gone", type_=Uuid))
_PAID = _written("server_paid_until", guard="WHERE coalesce(v.server_paid_until < excluded.server_paid_until, true)")
_CHANGED = _written(
    "state_version, state_at, server_state, server_detail", guard="WHERE v.server_id = :server"
).bindparams(bindparam("server", type_=Uuid))
_DESTROYED = _written(f"{_STATE}, server_id=, provider_ref=, server_state=, server_detail=, endpoint=, reason=")
_APPLIED = _written("applied_config")
_HEALTH = _written("process, channel, health_detail, health_at, health_lifecycle_version")


async def _write(session: Session, statement: Any, rows: Sequence[Values]) -> None:
    if rows:
        await session.execute(statement, list(rows))


def base(instance_id: UUID, account_id: UUID | None) -> dict[str, Any]:
    """The columns every write has."""
    return {"instance_id": instance_id, "account_id": account_id}


def state(name: str, *, version: int, at: datetime) -> dict[str, Any]:
    """The columns of a lifecycle state."""
    return {"state": name, "state_version": version, "state_at": at}


async def deployed(session: Session, rows: Sequence[Values]) -> None:
    """An instance was deployed and verified."""
    await _write(session, _DEPLOYED, rows)


async def failed(session: Session, rows: Sequence[Values]) -> None:
    """What was to end in a running agent did not."""
    await _write(session, _FAILED, rows)


async def cancelled(session: Session, rows: Sequence[Values]) -> None:
    """A deployment was cancelled; an instance that still has its server (the deployment never began) is what it was."""
    await _write(session, _CANCELLED, rows)


async def settled(session: Session, rows: Sequence[Values]) -> None:
    """An operation ended well: its instance is what the operation was for, if nothing said so before."""
    await _write(session, _SETTLED, rows)


async def started(session: Session, rows: Sequence[Values]) -> None:
    """A process is up."""
    await _write(session, _STARTED, rows)
    await _write(session, _STARTED_AT, [row for row in rows if row["endpoint"]])


async def stopped(session: Session, rows: Sequence[Values]) -> None:
    """A process is down because somebody asked."""
    await _write(session, _STOPPED, rows)


async def server_created(session: Session, rows: Sequence[Values]) -> None:
    """A provider accepted a server."""
    await _write(session, _CREATED, rows)


async def server_destroyed(session: Session, rows: Sequence[Values]) -> None:
    """A server is gone; a newer one is not touched. One whose removal took its time is paid for all the same."""
    await _write(session, _GONE, rows)
    await _write(session, _PAID, [row for row in rows if row["server_paid_until"]])


async def server_changed(session: Session, rows: Sequence[Values]) -> None:
    """The inventory saw a server in another state."""
    await _write(session, _CHANGED, rows)


async def destroyed(session: Session, rows: Sequence[Values]) -> None:
    """Nothing is left."""
    await _write(session, _DESTROYED, rows)


async def config_applied(session: Session, rows: Sequence[Values]) -> None:
    """A configuration version is live."""
    await _write(session, _APPLIED, rows)


async def health_changed(session: Session, rows: Sequence[Values]) -> None:
    """What monitor saw; whether it still counts is decided when it is read (law 9)."""
    await _write(session, _HEALTH, rows)
