"""Metering servers: after every fact the meters are made what the facts say, and the ledger gets the difference.

Facts come from two topics in any order. Nothing is decided by which came first: ``settle`` computes what all known facts amount
to and books only what is not booked yet, under the lock of the instance.
"""

from datetime import datetime
from uuid import UUID

import structlog

from clawdeploy_billing import meters, price_books, repository
from clawdeploy_billing.metering import Moment, Outcome, ServerFacts, segments
from clawdeploy_billing.models import Instance, Server
from clawdeploy_common import rows
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.lifecycle import ServerCreated, ServerDestroyed

log = structlog.get_logger()


async def accept(uow: UnitOfWork, event: ServerCreated, *, account_id: UUID) -> None:
    """A provider accepted a server: meter it from ``accepted_at``. A server is accepted once; the first word holds."""
    instance = await repository.lock_instance(uow.session, uow.cause.key, account_id=account_id)
    if await repository.find_server(uow.session, event.server_id, account_id=account_id) is not None:
        return
    server = Server(
        id=event.server_id,
        instance_id=instance.id,
        account_id=account_id,
        operation_id=event.operation_id,
        provider=event.provider,
        plan=event.plan,
        price_version=event.price_version,
        accepted_at=event.accepted_at,
        accepted_event_id=uow.cause.id,
        refunded=False,
    )
    await rows.add(uow.session, server)
    await settle(uow, instance, server)


async def destroyed(uow: UnitOfWork, event: ServerDestroyed, *, account_id: UUID) -> None:
    """A provider confirmed a deletion: the cost ends, with what it charges for afterwards. A server that was never accepted was never
    metered.
    """
    instance = await repository.lock_instance(uow.session, uow.cause.key, account_id=account_id)
    server = await repository.find_server(uow.session, event.server_id, account_id=account_id)
    if server is None or server.destroyed_at is not None:
        log.info("server.destroyed_without_meter", server_id=str(event.server_id), known=server is not None)
        return
    server.destroyed_at, server.destroyed_event_id = event.destroyed_at, uow.cause.id
    server.paid_until, server.refunded = event.paid_until, event.refunded
    await rows.save(uow.session, server)
    await settle(uow, instance, server)


async def deployed(uow: UnitOfWork, operation_id: UUID, outcome: Outcome, *, account_id: UUID) -> None:
    """A deployment ended: from now on it is known whether the customer is charged for the server it created."""
    instance = await repository.lock_instance(uow.session, uow.cause.key, account_id=account_id)
    for server in await repository.servers_of(uow.session, instance, operation_id=operation_id):
        if server.outcome is None:
            server.outcome, server.outcome_event_id = outcome, uow.cause.id
            await rows.save(uow.session, server)
            await settle(uow, instance, server)


async def destroy_requested(uow: UnitOfWork, requested_at: datetime, *, account_id: UUID) -> None:
    """A destroy was accepted: the charge ends here, whatever the provider still costs. An instance's first request counts."""
    instance = await repository.lock_instance(uow.session, uow.cause.key, account_id=account_id)
    if instance.destroy_requested_at is not None:
        return
    instance.destroy_requested_at, instance.destroy_event_id = requested_at, uow.cause.id
    await rows.save(uow.session, instance)
    for server in await repository.servers_of(uow.session, instance):
        await settle(uow, instance, server)


async def settle(uow: UnitOfWork, instance: Instance, server: Server) -> None:
    """Make the server's meters and their lines what its facts say; the instance must be locked."""
    book = await price_books.load(uow.session)
    facts = facts_of(server, instance)
    wanted = segments(facts, book)
    known = await repository.meters_of(uow.session, server)
    for segment in wanted:
        await meters.keep(uow, server, segment, known.get(segment.since), facts=facts)
    for since in sorted(known.keys() - {segment.since for segment in wanted}):
        await meters.void(uow, server, known[since], wanted[-1], facts=facts)


def facts_of(server: Server, instance: Instance) -> ServerFacts:
    """What is known of a server, as a value."""
    outcome: Outcome | None = server.outcome  # pyright: ignore[reportAssignmentType] - a CHECK holds the column to these
    return ServerFacts(
        provider=server.provider,
        plan=server.plan,
        price_version=server.price_version,
        accepted=Moment(at=server.accepted_at, event_id=server.accepted_event_id),
        outcome=outcome,
        outcome_event_id=server.outcome_event_id,
        destroy_requested=_moment(instance.destroy_requested_at, instance.destroy_event_id),
        destroyed=_moment(server.destroyed_at, server.destroyed_event_id),
        paid_until=server.paid_until,
        refunded=server.refunded,
    )


def _moment(at: datetime | None, event_id: UUID | None) -> Moment | None:
    return None if at is None or event_id is None else Moment(at=at, event_id=event_id)
