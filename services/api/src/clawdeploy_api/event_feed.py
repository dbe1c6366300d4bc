"""Reading the account's feed by position: the HTTP feed, the live stream and the timeline of an instance."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from clawdeploy_api.public.event import Event, event_of
from clawdeploy_common.cursors import Page, encode_position
from clawdeploy_common.work import UnitOfWork

_AFTER = text(
    """
    SELECT * FROM account_feed WHERE account_id = :account AND position > :after AND (:internal OR NOT internal)
    ORDER BY position LIMIT :limit
    """
)
_OF_KEY = text(
    """
    SELECT * FROM account_feed WHERE account_id = :account AND key = :key AND position > :after AND NOT internal
    ORDER BY position LIMIT :limit
    """
)
_LAST = text("SELECT position FROM account_feed_positions WHERE account_id = :account")


async def after(uow: UnitOfWork, account_id: UUID, position: int, *, internal: bool, limit: int) -> Sequence[Event]:
    """Events of an account after a position."""
    values = {"account": account_id, "after": position, "internal": internal, "limit": limit}
    return [event_of(row) for row in await uow.session.execute(_AFTER, values)]


async def page(uow: UnitOfWork, account_id: UUID, position: int, *, limit: int) -> Page[Event]:
    """A page of what is offered to subscribers."""
    return _page(await after(uow, account_id, position, internal=False, limit=limit + 1), limit)


async def timeline(uow: UnitOfWork, account_id: UUID, instance_id: UUID, position: int, *, limit: int) -> Page[Event]:
    """A page of what happened to one instance."""
    values = {"account": account_id, "key": instance_id, "after": position, "limit": limit + 1}
    return _page([event_of(row) for row in await uow.session.execute(_OF_KEY, values)], limit)


async def last_position(uow: UnitOfWork, account_id: UUID) -> int:
    """The position of the account's newest event, 0 without one."""
    return await uow.session.scalar(_LAST, {"account": account_id}) or 0


def _page(found: Sequence[Event], limit: int) -> Page[Event]:
    items = list(found[:limit])
    return Page(items=items, next_cursor=encode_position(items[-1].position) if len(found) > limit else None)
