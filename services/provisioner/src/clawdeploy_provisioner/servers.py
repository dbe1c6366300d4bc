"""Servers' rows: what was intended, accepted, seen and confirmed gone."""

from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Integer, Text, bindparam, text

from clawdeploy_common.clock import utc_now
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.lifecycle import ServerCreated
from clawdeploy_provisioner.operations.facts import OperationFacts
from clawdeploy_provisioner.providers.protocol import Server

_LIVE = text("SELECT * FROM servers WHERE instance_id = :id AND destroyed_at IS NULL AND abandoned_at IS NULL")
_LATEST = text("SELECT * FROM servers WHERE instance_id = :id ORDER BY intended_at DESC, id DESC LIMIT 1")
_INTEND = text(
    """
    INSERT INTO servers (id, instance_id, account_id, operation_id, provider, region, plan, price_version)
    VALUES (:id, :instance, :account, :operation, :provider, :region, :plan, :price_version)
    """
)
_ACCEPTED = text(
    """
    UPDATE servers SET provider_ref = :ref, accepted_at = coalesce(accepted_at, :at), state = :state WHERE id = :id
    RETURNING accepted_at
    """
)
_SEEN = text(
    """
    UPDATE servers SET state = :state, detail = :detail, host = coalesce(:host, host), port = coalesce(:port, port),
           restarts = :restarts, memory_bytes = :memory, disk_free_bytes = :disk, observed_at = :at
    WHERE id = :id
    """
).bindparams(
    bindparam("detail", type_=Text),
    bindparam("host", type_=Text),
    bindparam("port", type_=Integer),
    bindparam("memory", type_=BigInteger),
    bindparam("disk", type_=BigInteger),
)
_ABANDON = text("UPDATE servers SET abandoned_at = clock_timestamp() WHERE id = :id")


async def live(unit: UnitOfWork, instance_id: UUID) -> Any | None:
    """The instance's server, unless it is gone or owed as a debt."""
    return (await unit.session.execute(_LIVE, {"id": instance_id})).one_or_none()


async def latest(unit: UnitOfWork, instance_id: UUID) -> Any | None:
    """The instance's newest server, destroyed or not."""
    return (await unit.session.execute(_LATEST, {"id": instance_id})).one_or_none()


async def intend(unit: UnitOfWork, server_id: UUID, operation: OperationFacts) -> None:
    """Write down that a server will be asked for."""
    plan = operation.deployment
    values = {
        "id": server_id,
        "instance": operation.instance_id,
        "account": operation.account_id,
        "operation": operation.id,
    }
    values |= {"provider": plan.provider, "region": plan.region, "plan": plan.plan, "price_version": plan.price_version}
    await unit.session.execute(_INTEND, values)


async def accepted(unit: UnitOfWork, row: Any, server: Server) -> ServerCreated:
    """Record that the provider accepted a server; returns the event, with the moment since when it is metered: the provider's own."""
    at = server.created_at or utc_now()
    values = {"id": row.id, "ref": server.provider_ref, "at": at, "state": server.state}
    return ServerCreated(
        server_id=row.id,
        operation_id=row.operation_id,
        provider=row.provider,
        region=row.region,
        plan=row.plan,
        price_version=row.price_version,
        provider_ref=server.provider_ref,
        accepted_at=await unit.session.scalar(_ACCEPTED, values),
    )


async def seen(unit: UnitOfWork, server: Server) -> None:
    """Record what the provider says of a server now."""
    values = {
        "id": server.server_id,
        "state": server.state,
        "detail": server.detail,
        "host": server.located,
        "port": server.address.port if server.address else None,
        "restarts": server.restarts,
        "memory": server.memory_bytes,
        "disk": server.disk_free_bytes,
        "at": utc_now(),
    }
    await unit.session.execute(_SEEN, values)


async def abandon(unit: UnitOfWork, server_id: UUID) -> None:
    """The server's removal is owed as a debt; the instance may have another one."""
    await unit.session.execute(_ABANDON, {"id": server_id})
