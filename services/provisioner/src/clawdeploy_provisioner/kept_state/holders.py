"""Which server holds what is kept as well, or more than that: decides whether the copy in the database is all there is."""

from uuid import UUID

from sqlalchemy import text

from clawdeploy_common.work import UnitOfWork

_LEFT = text("UPDATE kept_states SET held_by = NULL WHERE held_by = :server")
_OUTGROWN = text("DELETE FROM kept_states WHERE held_by = :server")


async def left(unit: UnitOfWork, server_id: UUID) -> None:
    """A server is about to be destroyed or wiped: from now on what is kept may be all there is."""
    await unit.session.execute(_LEFT, {"server": server_id})


async def outgrown(unit: UnitOfWork, server_id: UUID) -> None:
    """An agent runs again where all of it is: what is kept knows less from now on, and is deleted."""
    await unit.session.execute(_OUTGROWN, {"server": server_id})
