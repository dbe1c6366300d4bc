"""Dead letters: what an operator sees of parked events, and the two things to do about one (law 3)."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import text

from clawdeploy_common import parking, progress
from clawdeploy_common.cursors import Page, decode_id, encode_id
from clawdeploy_common.database import Database
from clawdeploy_common.errors import NotFound

_LIST = text(
    """
    SELECT id, kind, source, key, version, type, reason, error, attempts, state, parked_at FROM parked_events
    WHERE state <> 'dropped' AND (CAST(:after AS uuid) IS NULL OR id > :after)
    ORDER BY id LIMIT :limit
    """
)
_RETRY = text(
    """
    UPDATE parked_events SET state = 'parked', attempts = 0, retry_at = clock_timestamp()
    WHERE id = :id AND state <> 'dropped' AND key IS NOT NULL RETURNING id
    """
)
_FIND = text("SELECT kind, source, key FROM parked_events WHERE id = :id AND state <> 'dropped'")
_DROP = text(
    "UPDATE parked_events SET state = 'dropped', retry_at = NULL WHERE id = :id AND state <> 'dropped' RETURNING id"
)


class DeadLetterNotFound(NotFound):
    """There is no such parked event, or it was dropped already."""

    def __init__(self, letter_id: UUID) -> None:
        super().__init__(f"no parked event {letter_id}")


class DeadLetter(BaseModel):
    """A parked or dead event; the payload stays in the database, it may hold what an operator need not see."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e05",
                    "service": "billing",
                    "kind": "reactor",
                    "source": "/clawdeploy/provisioner",
                    "key": "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e01",
                    "version": 7,
                    "type": "server.created.v1",
                    "reason": "failed",
                    "error": "ValidationError: 1 validation error for ServerCreated",
                    "attempts": 8,
                    "state": "dead",
                    "parked_at": "2026-11-21T10:00:00Z",
                }
            ]
        }
    )

    id: UUID
    service: str
    kind: Literal["projector", "reactor"]
    source: str
    key: UUID | None
    version: int | None
    type: str | None
    reason: str
    error: str | None
    attempts: int
    state: Literal["parked", "dead"]
    parked_at: datetime


class DeadLetters:
    """The parked events of one service."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, *, cursor: str | None, limit: int) -> Page[DeadLetter]:
        """A page, oldest first."""
        async with self._database.connection() as connection:
            rows = (await connection.execute(_LIST, {"after": decode_id(cursor), "limit": limit + 1})).mappings().all()
        items = [DeadLetter(service=self._database.producer, **row) for row in rows[:limit]]
        return Page(items=items, next_cursor=encode_id(items[-1].id) if len(rows) > limit else None)

    async def retry(self, letter_id: UUID) -> None:
        """Apply it again as soon as its turn comes, with a fresh count of attempts; raises DeadLetterNotFound."""
        async with self._database.connection() as connection:
            if await connection.scalar(_RETRY, {"id": letter_id}) is None:
                raise DeadLetterNotFound(letter_id)

    async def drop(self, letter_id: UUID) -> None:
        """Skip it for good, replays included, and go on with its key; raises DeadLetterNotFound."""
        async with self._database.transaction() as unit:
            found = (await unit.session.execute(_FIND, {"id": letter_id})).one_or_none()
            if found is None:
                raise DeadLetterNotFound(letter_id)
            position = (found.source, found.key)
            if found.key is not None:  # the key's progress is locked before its parked rows, as everywhere
                await progress.lock(unit.session, [found.kind], [position])
            if await unit.session.scalar(_DROP, {"id": letter_id}) is None:
                raise DeadLetterNotFound(letter_id)
            if found.key is not None:
                await parking.advance_over_dropped(unit.session, found.kind, position)
