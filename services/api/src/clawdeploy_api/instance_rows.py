"""Instances as they are read: the desired state with what was told and observed, in one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Text, bindparam, text

from clawdeploy_api.actions import OpenOperation
from clawdeploy_api.errors import InstanceNotFound
from clawdeploy_common.work import UnitOfWork

ENDED = "('succeeded', 'failed', 'cancelled')"
_SELECT = f"""
    SELECT i.*, c.config, s.names AS secret_names,
           v.state, v.state_version, v.state_at, v.reason, v.server_id, v.provider_ref, v.server_state, v.server_detail,
           v.server_paid_until, v.endpoint, v.deployed_at, v.applied_config, v.process, v.channel AS channel_health,
           v.health_detail, v.health_at, v.health_lifecycle_version,
           o.operations
    FROM instances i
    LEFT JOIN instance_views v ON v.instance_id = i.id
    LEFT JOIN configs c ON c.instance_id = i.id AND c.version = i.config_version
    LEFT JOIN LATERAL (SELECT array_agg(DISTINCT name) AS names FROM secrets
                       WHERE instance_id = i.id AND removed_at IS NULL) s ON true
    LEFT JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_object('id', r.id, 'kind', r.kind, 'state', coalesce(p.state, 'queued'), 'error', p.error,
                   'created_at', r.requested_at, 'started_at', p.started_at, 'finished_at', p.finished_at) ORDER BY r.id) AS operations
        FROM operation_requests r LEFT JOIN operations p ON p.id = r.id
        WHERE r.instance_id = i.id AND coalesce(p.state, 'queued') NOT IN {ENDED}
    ) o ON true
"""  # noqa: S608 - constants only
_GET = text(f"{_SELECT} WHERE i.id = :id AND i.account_id = :account")
_LOCK = text("SELECT id FROM instances WHERE id = :id AND account_id = :account FOR UPDATE")
_PAGE = text(
    f"""{_SELECT}
    WHERE i.account_id = :account AND (CAST(:before AS uuid) IS NULL OR i.id < :before)
      AND (i.deleted_at IS NOT NULL) = :deleted
      AND (CAST(:model AS text) IS NULL OR i.model = :model) AND (CAST(:channel AS text) IS NULL OR i.channel = :channel)
      AND (CAST(:provider AS text) IS NULL OR i.provider = :provider) AND (CAST(:slug AS text) IS NULL OR i.slug = :slug)
    ORDER BY i.id DESC LIMIT :limit
    """
).bindparams(*(bindparam(name, type_=Text) for name in ("model", "channel", "provider", "slug")))


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What a list is narrowed to."""

    model: str | None = None
    channel: str | None = None
    provider: str | None = None
    slug: str | None = None
    deleted: bool = False


async def get(uow: UnitOfWork, account_id: UUID, instance_id: UUID) -> Any:
    """One instance of an account; raises InstanceNotFound."""
    row = (await uow.session.execute(_GET, {"id": instance_id, "account": account_id})).one_or_none()
    if row is None:
        raise InstanceNotFound(instance_id)
    return row


async def lock(uow: UnitOfWork, account_id: UUID, instance_id: UUID) -> Any:
    """The same, its row locked: requests for one instance come one after another."""
    found = await uow.session.scalar(_LOCK, {"id": instance_id, "account": account_id})
    if found is None:
        raise InstanceNotFound(instance_id)
    return await get(uow, account_id, instance_id)


async def page(
    uow: UnitOfWork, account_id: UUID, filters: Filters, *, before: UUID | None, limit: int
) -> Sequence[Any]:
    """Instances of an account, the newest first."""
    values = {
        "account": account_id,
        "before": before,
        "limit": limit,
        "model": filters.model,
        "channel": filters.channel,
        "provider": filters.provider,
        "slug": filters.slug,
        "deleted": filters.deleted,
    }
    return (await uow.session.execute(_PAGE, values)).all()


def open_operations(row: Any) -> tuple[OpenOperation, ...]:
    """What has not ended, in the order it was asked for."""
    return tuple(OpenOperation(id=UUID(found["id"]), kind=found["kind"]) for found in row.operations or ())
