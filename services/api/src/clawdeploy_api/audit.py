"""The audit log: who did what, when, from where. Details name fields, never secrets."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Text, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from clawdeploy_common.ids import new_id
from clawdeploy_common.work import UnitOfWork

_ADD = text(
    """
    INSERT INTO audit_log (id, account_id, api_key_id, action, subject, details, address, at)
    VALUES (:id, :account, :key, :action, :subject, :details, :address, clock_timestamp())
    """
).bindparams(bindparam("id", type_=Uuid), bindparam("details", type_=JSONB), bindparam("address", type_=Text))


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who acts, and from which address."""

    account_id: UUID
    key_id: UUID
    address: str | None


async def write(
    uow: UnitOfWork, actor: Actor, action: str, *, subject: UUID, details: dict[str, Any] | None = None
) -> None:
    """Note an action in its own transaction, so that there is no effect without an entry."""
    values = {
        "id": new_id(),
        "account": actor.account_id,
        "key": actor.key_id,
        "action": action,
        "subject": subject,
        "details": details or {},
        "address": actor.address,
    }
    await uow.session.execute(_ADD, values)
