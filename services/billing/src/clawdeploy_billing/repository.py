"""Queries of billing. The instance's row is the lock under which its servers and meters are read and written."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, bindparam, text

from clawdeploy_billing.models import Instance, LlmKey, PriceBookRow, Server, ServerMeter
from clawdeploy_common import rows
from clawdeploy_common.session import Session

_KNOW = text("INSERT INTO instances (id, account_id) VALUES (:id, :account) ON CONFLICT DO NOTHING")
_KNOW_ALL = text(
    "INSERT INTO instances (id, account_id) SELECT * FROM unnest(:ids, :accounts) ON CONFLICT DO NOTHING"
).bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("accounts", type_=ARRAY(Uuid)))
_LOCK = rows.selecting(Instance, "WHERE id = :id AND account_id = :account FOR UPDATE")
_LOCK_ALL = text("SELECT id FROM instances WHERE id = ANY(:ids) ORDER BY id FOR UPDATE").bindparams(
    bindparam("ids", type_=ARRAY(Uuid))
)
_SERVER = rows.selecting(Server, "WHERE id = :id AND account_id = :account")
_SERVERS = rows.selecting(
    Server,
    "WHERE instance_id = :instance AND account_id = :account AND (:operation IS NULL OR operation_id = :operation) "
    "ORDER BY accepted_at, id",
    operation=Uuid,
)
_OPEN_SERVERS = rows.selecting(
    Server, "WHERE destroyed_at IS NULL AND (:after IS NULL OR id > :after) ORDER BY id LIMIT :limit", after=Uuid
)
_METERS = rows.selecting(ServerMeter, "WHERE server_id = :server AND account_id = :account")
_KEY = rows.selecting(LlmKey, "WHERE key_hash = :hash AND account_id = :account FOR UPDATE")
_KEYS = rows.selecting(LlmKey, "WHERE key_hash = ANY(:hashes) ORDER BY key_hash FOR UPDATE", hashes=ARRAY(Text))
_PRICE_BOOKS = rows.selecting(PriceBookRow, "ORDER BY version")


async def lock_instance(session: Session, instance_id: UUID, *, account_id: UUID) -> Instance:
    """The instance, made when it is not known, locked until the transaction ends."""
    await session.execute(_KNOW, {"id": instance_id, "account": account_id})
    (instance,) = await rows.select(session, Instance, _LOCK, id=instance_id, account=account_id)
    return instance


async def lock_instances(session: Session, accounts: Mapping[UUID, UUID]) -> None:
    """Make and lock several instances (each with its account) in the order of their ids."""
    if not accounts:
        return
    ids = sorted(accounts)
    await session.execute(_KNOW_ALL, {"ids": ids, "accounts": [accounts[instance_id] for instance_id in ids]})
    await session.execute(_LOCK_ALL, {"ids": ids})


async def find_server(session: Session, server_id: UUID, *, account_id: UUID) -> Server | None:
    """A server of the account."""
    found = await rows.select(session, Server, _SERVER, id=server_id, account=account_id)
    return found[0] if found else None


async def servers_of(session: Session, instance: Instance, *, operation_id: UUID | None = None) -> Sequence[Server]:
    """The servers an instance has had, or those one operation created."""
    return await rows.select(
        session, Server, _SERVERS, instance=instance.id, account=instance.account_id, operation=operation_id
    )


async def meters_of(session: Session, server: Server) -> dict[datetime, ServerMeter]:
    """The meters of a server by their beginning."""
    found = await rows.select(session, ServerMeter, _METERS, server=server.id, account=server.account_id)
    return {meter.since: meter for meter in found}


async def open_servers(session: Session, *, after: UUID | None, limit: int) -> Sequence[Server]:
    """Servers of all accounts that were not destroyed yet, in pages by id."""
    return await rows.select(session, Server, _OPEN_SERVERS, after=after, limit=limit)


async def find_key(session: Session, key_hash: str, *, account_id: UUID) -> LlmKey | None:
    """The meter of an account's key, locked."""
    found = await rows.select(session, LlmKey, _KEY, hash=key_hash, account=account_id)
    return found[0] if found else None


async def lock_keys(session: Session, hashes: Sequence[str]) -> Sequence[LlmKey]:
    """The meters of keys, locked in the order of their hashes."""
    return await rows.select(session, LlmKey, _KEYS, hashes=hashes)


async def price_book_rows(session: Session) -> Sequence[PriceBookRow]:
    """Every version of the price book, oldest first."""
    return await rows.select(session, PriceBookRow, _PRICE_BOOKS)
