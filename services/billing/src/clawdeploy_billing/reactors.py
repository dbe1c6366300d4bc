"""Events that begin and end what is metered. Facts arrive from two topics in any order; the result does not depend on it."""

from collections.abc import Sequence
from uuid import UUID

from clawdeploy_billing import llm_keys, repository, servers
from clawdeploy_common.errors import PermanentError
from clawdeploy_common.events import Envelope
from clawdeploy_common.handlers import Reactors
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.deployments import InstanceDestroyRequested
from clawdeploy_events.lifecycle import (
    DeploymentCancelled,
    DeploymentFailed,
    DeploymentSucceeded,
    LlmKeyMinted,
    LlmKeyRevoked,
    ServerCreated,
    ServerDestroyed,
)

reactors = Reactors()

_ABOUT_SERVERS = frozenset(
    event.event_type
    for event in (
        DeploymentCancelled,
        DeploymentFailed,
        DeploymentSucceeded,
        InstanceDestroyRequested,
        ServerCreated,
        ServerDestroyed,
    )
)


@reactors.before_batch
async def lock_instances(envelopes: Sequence[Envelope], uow: UnitOfWork) -> None:
    """Lock the instances a batch tells of, in order: both topics tell of the same ones, and each in an order of its own."""
    told = {e.key: e.account_id for e in envelopes if e.type in _ABOUT_SERVERS and e.account_id is not None}
    await repository.lock_instances(uow.session, told)


@reactors.on(ServerCreated)
async def start_metering(event: ServerCreated, uow: UnitOfWork) -> None:
    """Start metering a server from the moment the provider accepted it."""
    await servers.accept(uow, event, account_id=_account(uow))


@reactors.on(ServerDestroyed)
async def stop_metering(event: ServerDestroyed, uow: UnitOfWork) -> None:
    """Stop metering a server when the provider confirmed its deletion."""
    await servers.destroyed(uow, event, account_id=_account(uow))


@reactors.on(DeploymentSucceeded)
async def charge_for_success(event: DeploymentSucceeded, uow: UnitOfWork) -> None:
    """A deployment succeeded: its server is charged from its beginning."""
    await servers.deployed(uow, event.operation_id, "succeeded", account_id=_account(uow))


@reactors.on(DeploymentFailed)
async def forgive_failure(event: DeploymentFailed, uow: UnitOfWork) -> None:
    """A deployment failed: its server's cost is the operator's, and nothing is charged."""
    await servers.deployed(uow, event.operation_id, "failed", account_id=_account(uow))


@reactors.on(DeploymentCancelled)
async def forgive_cancellation(event: DeploymentCancelled, uow: UnitOfWork) -> None:
    """A deployment was cancelled: its server's cost is the operator's, and nothing is charged."""
    await servers.deployed(uow, event.operation_id, "cancelled", account_id=_account(uow))


@reactors.on(InstanceDestroyRequested)
async def stop_charging(event: InstanceDestroyRequested, uow: UnitOfWork) -> None:
    """A destroy was accepted: the charge stops, the cost goes on until the deletion is confirmed."""
    await servers.destroy_requested(uow, event.requested_at, account_id=_account(uow))


@reactors.on(LlmKeyMinted)
async def meter_llm_key(event: LlmKeyMinted, uow: UnitOfWork) -> None:
    """Start reading an LLM key's usage."""
    await llm_keys.minted(uow, event, account_id=_account(uow))


@reactors.on(LlmKeyRevoked)
async def finish_llm_key(event: LlmKeyRevoked, uow: UnitOfWork) -> None:
    """Read a disabled LLM key for the last time."""
    await llm_keys.revoked(uow, event, account_id=_account(uow))


def _account(uow: UnitOfWork) -> UUID:
    if uow.cause.account_id is None:
        raise PermanentError(f"{uow.cause.type} names no account to bill")
    return uow.cause.account_id
