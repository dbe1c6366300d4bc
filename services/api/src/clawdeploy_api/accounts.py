"""Accounts and their quotas."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from asyncpg import IntegrityConstraintViolationError
from sqlalchemy import DateTime, Uuid, bindparam, text

from clawdeploy_api import catalogue
from clawdeploy_api.errors import AccountNotFound, ExternalIdTaken
from clawdeploy_common.cursors import Page, decode_id, encode_id
from clawdeploy_common.ids import new_id
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.deployments import AccountCreated

_COLUMNS = (
    "id, name, plan, role, external_id, coalesce(max_instances, plan_instances) AS max_instances, used, created_at"
)
_GET = text(f"SELECT {_COLUMNS} FROM accounts WHERE id = :id")  # noqa: S608 - a constant
_PAGE = text(
    f"SELECT {_COLUMNS} FROM accounts WHERE CAST(:after AS uuid) IS NULL OR id > :after ORDER BY id LIMIT :limit"  # noqa: S608 - a constant
)
_ADD = text(
    """
    INSERT INTO accounts (id, name, plan, role, plan_instances, max_instances, external_id)
    VALUES (:id, :name, :plan, :role, :plan_instances, :max_instances, :external_id) ON CONFLICT (id) DO NOTHING RETURNING id
    """
).bindparams(bindparam("id", type_=Uuid))
_GIVE_BACK = text("UPDATE accounts SET used = used - 1 WHERE id = :id AND used > 0")
_MARK_DELETED = text(
    """
    UPDATE instances SET deleted_at = :at, updated_at = :at, desired_status = 'deleted'
    WHERE id = :id AND deleted_at IS NULL RETURNING account_id
    """
).bindparams(bindparam("at", type_=DateTime(timezone=True)))


@dataclass(frozen=True, kw_only=True)
class NewAccount:
    """What an account begins with; ``max_instances`` overrides what its plan gives."""

    name: str
    plan: str
    role: str = "user"
    external_id: str | None = None
    max_instances: int | None = None


async def get(uow: UnitOfWork, account_id: UUID) -> Any:
    """An account's row; raises AccountNotFound."""
    row = (await uow.session.execute(_GET, {"id": account_id})).one_or_none()
    if row is None:
        raise AccountNotFound(account_id)
    return row


async def page(uow: UnitOfWork, *, cursor: str | None, limit: int) -> Page[Any]:
    """Accounts, oldest first."""
    rows = (await uow.session.execute(_PAGE, {"after": decode_id(cursor), "limit": limit + 1})).all()
    items = list(rows[:limit])
    return Page(items=items, next_cursor=encode_id(items[-1].id) if len(rows) > limit else None)


async def add(uow: UnitOfWork, new: NewAccount, *, account_id: UUID | None = None) -> UUID:
    """Create an account unless this id exists; raises ExternalIdTaken."""
    account_id = account_id or new_id()
    plan = catalogue.find_plan(new.plan)
    values = {
        "id": account_id,
        "name": new.name,
        "plan": plan.id,
        "role": new.role,
        "plan_instances": plan.max_instances,
        "max_instances": new.max_instances,
        "external_id": new.external_id,
    }
    try:
        added = await uow.session.scalar(_ADD, values)
    except IntegrityConstraintViolationError as error:
        raise ExternalIdTaken(f"external_id {new.external_id}") from error
    if added is not None:
        uow.outbox.add(AccountCreated(plan=plan.id), key=account_id, account_id=account_id)
    return account_id


async def mark_instance_deleted(uow: UnitOfWork, instance_id: UUID, *, at: Any) -> bool:
    """Note that nothing of an instance is left and give its place back, once; returns whether it was the first time."""
    account_id = await uow.session.scalar(_MARK_DELETED, {"id": instance_id, "at": at})
    if account_id is None:
        return False
    await uow.session.execute(_GIVE_BACK, {"id": account_id})
    return True
