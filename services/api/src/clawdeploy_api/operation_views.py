"""Writing how operations go, as the lifecycle topic tells it."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import DateTime, Text, Uuid, bindparam, text

from clawdeploy_common.session import Session

Values = Mapping[str, Any]
_TIME = DateTime(timezone=True)
_STARTED = text(
    """
    INSERT INTO operations (id, account_id, state, started_at) VALUES (:id, :account_id, 'running', :at)
    ON CONFLICT (id) DO UPDATE SET state = 'running', started_at = excluded.started_at
    """
).bindparams(bindparam("account_id", type_=Uuid), bindparam("at", type_=_TIME))
_PLANNED = text(
    """
    INSERT INTO operation_steps (operation_id, name, account_id, position, title) VALUES (:id, :name, :account_id, :position, :title)
    ON CONFLICT (operation_id, name) DO UPDATE SET position = excluded.position, title = excluded.title
    """
).bindparams(bindparam("account_id", type_=Uuid))
_STEP = text(
    """
    INSERT INTO operation_steps AS s (operation_id, name, account_id, position, title, state, message, started_at, finished_at)
    VALUES (:id, :name, :account_id, 1000, :name, :state, :message, :at, :finished_at)
    ON CONFLICT (operation_id, name) DO UPDATE
    SET state = excluded.state, message = coalesce(excluded.message, s.message),
        started_at = coalesce(s.started_at, excluded.started_at), finished_at = excluded.finished_at
    """
).bindparams(
    bindparam("account_id", type_=Uuid),
    bindparam("name", type_=Text),
    bindparam("message", type_=Text),
    bindparam("at", type_=_TIME),
    bindparam("finished_at", type_=_TIME),
)
_COMPENSATING = text("UPDATE operations SET state = 'compensating' WHERE id = :id AND state = 'running'").bindparams(
    bindparam("id", type_=Uuid)
)
_ENDED = text(
    """
    INSERT INTO operations (id, account_id, state, error, finished_at) VALUES (:id, :account_id, :state, :error, :at)
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, error = excluded.error, finished_at = excluded.finished_at
    """
).bindparams(bindparam("account_id", type_=Uuid), bindparam("error", type_=Text), bindparam("at", type_=_TIME))


async def started(session: Session, rows: Sequence[Values], steps: Sequence[Values]) -> None:
    """Operations began; their steps are known."""
    await session.execute(_STARTED, list(rows))
    if steps:
        await session.execute(_PLANNED, list(steps))


async def step_changed(session: Session, rows: Sequence[Values]) -> None:
    """Steps began, ended, failed or were undone; the first undone one says that the operation is undoing."""
    await session.execute(_STEP, list(rows))
    undoing = [{"id": row["id"]} for row in rows if row["state"] == "compensated"]
    if undoing:
        await session.execute(_COMPENSATING, undoing)


async def ended(session: Session, rows: Sequence[Values]) -> None:
    """Operations ended, one way or another."""
    await session.execute(_ENDED, list(rows))
