"""Operations as they are read: what was asked for, with how it goes."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, bindparam, text

from clawdeploy_api.errors import InstanceNotFound, OperationNotFound
from clawdeploy_api.public.operation import Operation
from clawdeploy_common.cursors import Page, decode_id, encode_id
from clawdeploy_common.work import UnitOfWork

_SELECT = """
    SELECT r.id, r.instance_id, r.kind, coalesce(p.state, 'queued') AS state, p.error, r.requested_at AS created_at,
           p.started_at, p.finished_at, s.steps
    FROM operation_requests r
    LEFT JOIN operations p ON p.id = r.id
    LEFT JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_object('name', name, 'title', title, 'state', state, 'message', message,
                   'started_at', started_at, 'finished_at', finished_at) ORDER BY position) AS steps
        FROM operation_steps WHERE operation_id = r.id
    ) s ON true
"""
_GET = text(f"{_SELECT} WHERE r.id = :id AND r.account_id = :account")
_PAGE = text(
    f"""{_SELECT}
    WHERE r.account_id = :account AND (CAST(:instance AS uuid) IS NULL OR r.instance_id = :instance)
      AND r.kind = ANY(:kinds) AND (CAST(:before AS uuid) IS NULL OR r.id < :before)
    ORDER BY r.id DESC LIMIT :limit
    """
).bindparams(bindparam("kinds", type_=ARRAY(Text)), bindparam("instance", type_=Uuid), bindparam("before", type_=Uuid))
_HAS_INSTANCE = text("SELECT true FROM instances WHERE id = :id AND account_id = :account")


async def get(
    uow: UnitOfWork, account_id: UUID, operation_id: UUID, *, kinds: Sequence[str] | None = None
) -> Operation:
    """One operation of an account; raises OperationNotFound, also when it is none of the kinds."""
    row = (await uow.session.execute(_GET, {"id": operation_id, "account": account_id})).one_or_none()
    if row is None or (kinds is not None and row.kind not in kinds):
        raise OperationNotFound(operation_id)
    return _operation(row)


async def page(
    uow: UnitOfWork,
    account_id: UUID,
    *,
    kinds: Sequence[str],
    instance_id: UUID | None = None,
    cursor: str | None,
    limit: int,
) -> Page[Operation]:
    """Operations of an account or of one of its instances, the newest first."""
    values = {"account": account_id, "instance": instance_id, "kinds": list(kinds), "before": decode_id(cursor)}
    rows = (await uow.session.execute(_PAGE, {**values, "limit": limit + 1})).all()
    items = [_operation(row) for row in rows[:limit]]
    return Page(items=items, next_cursor=encode_id(items[-1].id) if len(rows) > limit else None)


async def require_instance(uow: UnitOfWork, account_id: UUID, instance_id: UUID) -> None:
    """Raises InstanceNotFound unless the account has this instance."""
    if not await uow.session.scalar(_HAS_INSTANCE, {"id": instance_id, "account": account_id}):
        raise InstanceNotFound(instance_id)


def _operation(row: Any) -> Operation:
    return Operation.model_validate({**dict(row), "steps": row.steps or []})
