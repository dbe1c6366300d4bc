"""LLM keys: one per deployment, minted with a limit, disabled with its instance, deleted after the last reading."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import LargeBinary, bindparam, text

from clawdeploy_common.clock import utc_now
from clawdeploy_common.database import Database
from clawdeploy_common.ids import new_id
from clawdeploy_common.jobs import Job, JobHandler
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.lifecycle import LlmKeyMinted, LlmKeyRevoked
from clawdeploy_provisioner.openrouter import MintedKey, OpenRouterKeys

SECRET_PURPOSE = b"clawdeploy/llm-key/v1"
DELETE_JOB = "delete_llm_key"

_LIVE = text("SELECT * FROM llm_keys WHERE instance_id = :id AND state IN ('intended', 'active')")
_INTEND = text(
    """
    INSERT INTO llm_keys (id, instance_id, account_id, name, state, limit_micros)
    VALUES (:id, :instance, :account, :name, 'intended', :limit) ON CONFLICT (name) DO NOTHING
    """
)
_MINTED = text(
    "UPDATE llm_keys SET state = 'active', key_hash = :hash, secret = :secret, minted_at = :at WHERE name = :name"
).bindparams(bindparam("secret", type_=LargeBinary))
_DISABLED = text(
    """
    UPDATE llm_keys SET state = 'disabled', disabled_at = :at, secret = NULL WHERE id = :id AND state <> 'deleted'
    RETURNING instance_id, account_id, key_hash
    """
)
_ABANDONED = text("UPDATE llm_keys SET state = 'disabled', secret = NULL WHERE id = :id")
_DELETED = text("UPDATE llm_keys SET state = 'deleted', deleted_at = clock_timestamp(), secret = NULL WHERE id = :id")
_NAMES = text("SELECT name, key_hash FROM llm_keys WHERE id = :id")


def name_of(instance_id: UUID, operation_id: UUID) -> str:
    """The label of a key at OpenRouter; one per deployment, so that a redeploy does not delete the key before its last reading."""
    return f"clawdeploy/{instance_id}/{operation_id}"


def instance_of(name: str) -> UUID | None:
    """Whose key this is by its label; None when the label is not one of ours."""
    first, _, rest = name.partition("/")
    try:
        return UUID(rest.partition("/")[0]) if first == "clawdeploy" else None
    except ValueError:
        return None


async def live(unit: UnitOfWork, instance_id: UUID) -> Any | None:
    """The instance's intended or active key."""
    return (await unit.session.execute(_LIVE, {"id": instance_id})).one_or_none()


async def intend(unit: UnitOfWork, *, instance_id: UUID, account_id: UUID, name: str, limit_micros: int) -> None:
    """Write down that a key of this name will be asked for."""
    values = {"id": new_id(), "instance": instance_id, "account": account_id, "name": name, "limit": limit_micros}
    await unit.session.execute(_INTEND, values)


async def minted(
    unit: UnitOfWork, key: MintedKey, *, name: str, encrypted: bytes, limit_micros: int, price_version: int
) -> LlmKeyMinted:
    """Record a minted key; returns the event that tells of it."""
    at = utc_now()
    await unit.session.execute(_MINTED, {"hash": key.key_hash, "secret": encrypted, "at": at, "name": name})
    return LlmKeyMinted(key_hash=key.key_hash, limit_micros=limit_micros, price_version=price_version, minted_at=at)


async def disabled(unit: UnitOfWork, key_id: UUID, *, grace: timedelta, operation_id: UUID | None = None) -> None:
    """Record that a key spends no more, tell billing, and have it deleted after the last reading."""
    at = utc_now()
    row = (await unit.session.execute(_DISABLED, {"id": key_id, "at": at})).one_or_none()
    if row is None:
        return
    if row.key_hash is None:  # never confirmed, and deleted by its name
        await forgotten(unit, key_id)
        return
    event = LlmKeyRevoked(key_hash=row.key_hash, revoked_at=at)
    unit.outbox.add(event, key=row.instance_id, account_id=row.account_id, correlation_id=operation_id)
    await unit.jobs.add(DELETE_JOB, dedupe_key=str(key_id), payload={"key_id": str(key_id)}, run_at=at + grace)


async def abandoned(unit: UnitOfWork, key_id: UUID) -> None:
    """The key's removal is owed as a debt: it makes room for another, and its secret is forgotten."""
    await unit.session.execute(_ABANDONED, {"id": key_id})


async def forgotten(unit: UnitOfWork, key_id: UUID) -> None:
    """Nothing of the key is left at OpenRouter."""
    await unit.session.execute(_DELETED, {"id": key_id})


async def stop_spending(database: Database, keys: OpenRouterKeys, key_id: UUID) -> None:
    """Disable a recorded key; one whose minting was never confirmed is deleted by its name."""
    async with database.transaction() as unit:
        row = (await unit.session.execute(_NAMES, {"id": key_id})).one()
    if row.key_hash is not None:
        await keys.disable(row.key_hash)
    else:
        await keys.delete_named(row.name)


def delete_job(database: Database, keys: OpenRouterKeys) -> JobHandler:
    """The job that deletes a disabled key once its grace is over."""

    async def delete(job: Job) -> None:
        key_id = UUID(job.payload["key_id"])
        async with database.transaction() as unit:
            row = (await unit.session.execute(_NAMES, {"id": key_id})).one()
        if row.key_hash is not None:
            await keys.delete(row.key_hash)
        async with database.transaction() as unit:
            await forgotten(unit, key_id)

    return delete
