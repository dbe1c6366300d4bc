"""Resources that carry our label and that no row knows: reported when found, removed when they stay that way (law 7)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import DateTime, bindparam, text

from clawdeploy_common.clock import utc_now
from clawdeploy_common.database import Database
from clawdeploy_events.lifecycle import OrphanFound, OrphanRemoved
from clawdeploy_provisioner.metrics import ORPHANS

log = structlog.get_logger()

_NOTE = text(
    """
    INSERT INTO orphans (id, provider, provider_ref, resource, since)
    VALUES (:id, :provider, :ref, :resource, coalesce(:since, now()))
    ON CONFLICT (id) DO UPDATE SET removed_at = NULL,
        found_at = CASE WHEN orphans.removed_at IS NULL THEN orphans.found_at ELSE excluded.found_at END,
        since = CASE WHEN orphans.removed_at IS NULL THEN orphans.since ELSE excluded.since END
    RETURNING found_at, found_at = now() AS is_new
    """
).bindparams(bindparam("since", type_=DateTime(timezone=True)))
_REMOVED = text("UPDATE orphans SET removed_at = clock_timestamp() WHERE id = :id AND removed_at IS NULL RETURNING id")


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """A labelled resource; ``resource`` is server, llm_key, or what a server has of its own; ``since`` it is there, if known."""

    id: UUID
    resource: str
    provider: str
    provider_ref: str
    since: datetime | None = None


class Orphans:
    """What was found, since when, and whether it is old enough to go."""

    def __init__(self, database: Database, *, age: timedelta) -> None:
        self._database = database
        self._age = age

    async def deal_with(
        self, orphan: Orphan, *, recorded: Callable[[], Awaitable[bool]], remove: Callable[[], Awaitable[object]]
    ) -> None:
        """Report it once; remove it when it is old enough and is still not recorded. A failed removal is tried next time."""
        try:
            if await recorded() or await self._watched_for(orphan) < self._age or await recorded():
                return
            await remove()
            await self._tell_removed(orphan)
        except Exception as error:  # noqa: BLE001 - one that cannot be removed keeps nobody from the others
            log.warning("orphan.not_removed", resource=orphan.resource, id=str(orphan.id), error=repr(error))

    async def _watched_for(self, orphan: Orphan) -> timedelta:
        async with self._database.transaction() as unit:
            values: dict[str, Any] = {"id": orphan.id, "provider": orphan.provider, "ref": orphan.provider_ref}
            values |= {"resource": orphan.resource, "since": orphan.since}
            row = (await unit.session.execute(_NOTE, values)).one()
            if row.is_new:
                ORPHANS.labels(orphan.provider).inc()
                log.warning("orphan.found", provider=orphan.provider, resource=orphan.resource, id=str(orphan.id))
                event = OrphanFound(
                    provider=orphan.provider, resource=orphan.resource, provider_ref=orphan.provider_ref
                )
                unit.outbox.add(event, key=orphan.id)
            return utc_now() - row.found_at

    async def _tell_removed(self, orphan: Orphan) -> None:
        async with self._database.transaction() as unit:
            if await unit.session.scalar(_REMOVED, {"id": orphan.id}) is not None:
                event = OrphanRemoved(
                    provider=orphan.provider, resource=orphan.resource, provider_ref=orphan.provider_ref
                )
                unit.outbox.add(event, key=orphan.id)
