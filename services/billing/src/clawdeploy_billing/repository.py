"""Queries of billing. The instance's row is the lock under which its servers and meters are read and written."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from clawdeploy_billing.models import Instance, LlmKey, PriceBookRow, Server, ServerMeter


async def lock_instance(session: AsyncSession, instance_id: UUID, *, account_id: UUID) -> Instance:
    """The instance, made when it is not known, locked until the transaction ends."""
    new = insert(Instance).values(id=instance_id, account_id=account_id).on_conflict_do_nothing()
    await session.execute(new)
    query = select(Instance).where(Instance.id == instance_id, Instance.account_id == account_id).with_for_update()
    return (await session.execute(query.execution_options(populate_existing=True))).scalar_one()


async def lock_instances(session: AsyncSession, accounts: Mapping[UUID, UUID]) -> None:
    """Make and lock several instances (each with its account) in the order of their ids."""
    if not accounts:
        return
    values = [{"id": instance_id, "account_id": accounts[instance_id]} for instance_id in sorted(accounts)]
    await session.execute(insert(Instance).values(values).on_conflict_do_nothing())
    await session.execute(select(Instance.id).where(Instance.id.in_(accounts)).order_by(Instance.id).with_for_update())


async def find_server(session: AsyncSession, server_id: UUID, *, account_id: UUID) -> Server | None:
    """A server of the account."""
    query = select(Server).where(Server.id == server_id, Server.account_id == account_id)
    return (await session.execute(query)).scalar_one_or_none()


async def servers_of(
    session: AsyncSession, instance: Instance, *, operation_id: UUID | None = None
) -> Sequence[Server]:
    """The servers an instance has had, or those one operation created."""
    query = select(Server).where(Server.instance_id == instance.id, Server.account_id == instance.account_id)
    if operation_id is not None:
        query = query.where(Server.operation_id == operation_id)
    return (await session.execute(query.order_by(Server.accepted_at, Server.id))).scalars().all()


async def meters_of(session: AsyncSession, server: Server) -> dict[datetime, ServerMeter]:
    """The meters of a server by their beginning."""
    query = select(ServerMeter).where(ServerMeter.server_id == server.id, ServerMeter.account_id == server.account_id)
    return {meter.since: meter for meter in (await session.execute(query)).scalars()}


async def open_servers(session: AsyncSession, *, after: UUID | None, limit: int) -> Sequence[Server]:
    """Servers of all accounts that were not destroyed yet, in pages by id."""
    query = select(Server).where(Server.destroyed_at.is_(None)).order_by(Server.id).limit(limit)
    if after is not None:
        query = query.where(Server.id > after)
    return (await session.execute(query)).scalars().all()


async def find_key(session: AsyncSession, key_hash: str, *, account_id: UUID) -> LlmKey | None:
    """The meter of an account's key, locked."""
    query = select(LlmKey).where(LlmKey.key_hash == key_hash, LlmKey.account_id == account_id).with_for_update()
    return (await session.execute(query.execution_options(populate_existing=True))).scalar_one_or_none()


async def price_book_rows(session: AsyncSession) -> Sequence[PriceBookRow]:
    """Every version of the price book, oldest first."""
    return (await session.execute(select(PriceBookRow).order_by(PriceBookRow.version))).scalars().all()
