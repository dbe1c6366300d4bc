"""Watches and the lifecycle: what is expected of an instance, and whether it is probed now.

While an operation is active the instance is expected to change, so nothing is probed (except after a start) and nothing is drift;
when it ends, the provider's latest view is judged.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import text

from clawdeploy_common import rows
from clawdeploy_common.errors import PermanentError
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.health import ChannelHealth, InstanceDrifted, InstanceHealthChanged, ProcessHealth
from clawdeploy_events.lifecycle import InstanceStarted, ServerState
from clawdeploy_monitor.hysteresis import LOST_STATES, Health, lost
from clawdeploy_monitor.models import Watch

log = structlog.get_logger()

_KNOW = text(
    """
    INSERT INTO watches (instance_id, account_id, lifecycle_version) VALUES (:instance, :account, :version)
    ON CONFLICT DO NOTHING
    """
)
_LOCK = rows.selecting(Watch, "WHERE instance_id = :instance FOR UPDATE")
AWAY_STATES = LOST_STATES | {ServerState.OFF}
"""What the provider may say of a server that is expected to run, and is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSeen:
    """A server as its provider sees it."""

    server_id: UUID
    state: ServerState
    at: datetime
    detail: str | None = None


@asynccontextmanager
async def watched(uow: UnitOfWork) -> AsyncGenerator[Watch]:
    """The watch of the instance an event tells of, made when there is none, locked, knowing the event's version; saved at the end."""
    cause = uow.cause
    if cause.account_id is None:
        raise PermanentError(f"{cause.type} names no account")
    await uow.session.execute(_KNOW, {"instance": cause.key, "account": cause.account_id, "version": cause.version})
    (watch,) = await rows.select(uow.session, Watch, _LOCK, instance=cause.key)
    watch.lifecycle_version = max(watch.lifecycle_version, cause.version)
    yield watch
    await rows.save(uow.session, watch)


def operation_started(watch: Watch, operation_id: UUID) -> None:
    """Stop probing: what happens now was asked for."""
    watch.operation_id = operation_id
    watch.next_probe_at = None


def operation_ended(uow: UnitOfWork, watch: Watch, operation_id: UUID) -> None:
    """Probe again, and judge what the provider said meanwhile. The end of an operation that never began changes nothing."""
    if watch.operation_id != operation_id:
        return
    watch.operation_id = None
    _judge_server(uow, watch, at=uow.cause.time, detail=watch.detail)
    _resume(watch, at=uow.cause.time)


def started(uow: UnitOfWork, watch: Watch, event: InstanceStarted) -> None:
    """Expect the instance to run; it is starting until its first sign of life."""
    watch.expected, watch.server_id, watch.probe_url = "running", event.server_id, event.probe_url
    watch.server_state, watch.started_at = ServerState.RUNNING, event.started_at
    say(uow, watch, Health(process=ProcessHealth.STARTING), at=event.started_at)
    watch.drift = None
    watch.next_probe_at = event.started_at


def stopped(uow: UnitOfWork, watch: Watch, server_id: UUID, at: datetime, reason: str) -> None:
    """Expect the instance to be down."""
    watch.expected, watch.server_id, watch.server_state = "stopped", server_id, ServerState.OFF
    say(uow, watch, Health(process=ProcessHealth.STOPPED, detail=reason), at=at)
    watch.drift = None
    watch.next_probe_at = None


def destroyed(uow: UnitOfWork, watch: Watch, at: datetime) -> None:
    """Expect nothing of the instance any more."""
    watch.expected, watch.next_probe_at, watch.probe_url = "gone", None, None
    say(uow, watch, lost(Health(), detail=None), at=at)
    watch.drift = None


def undeployed(uow: UnitOfWork, watch: Watch, operation_id: UUID, *, detail: str) -> None:
    """Expect nothing: the deployment that was under way undid itself. One that never began changes nothing."""
    if watch.operation_id != operation_id:
        return
    watch.expected, watch.next_probe_at = "nothing", None
    say(uow, watch, lost(Health(), detail=detail), at=uow.cause.time)
    watch.drift = None


def server_changed(uow: UnitOfWork, watch: Watch, seen: ServerSeen) -> None:
    """Take the provider's word: a server that is gone is gone at once. Other servers of the instance do not matter."""
    if watch.server_id is not None and seen.server_id != watch.server_id:
        return
    watch.server_state = seen.state
    if watch.operation_id is None:
        _judge_server(uow, watch, at=seen.at, detail=seen.detail)
        _resume(watch, at=seen.at)


def _judge_server(uow: UnitOfWork, watch: Watch, *, at: datetime, detail: str | None) -> None:
    state = ServerState(watch.server_state)
    if watch.expected == "running" and state in AWAY_STATES:
        told = detail or f"the provider says: {state}"
        health = health_of(watch)
        say(uow, watch, lost(health, detail=told) if state in LOST_STATES else _down(health, told), at=at)
        drifted(uow, watch, observed=state, detail=told, at=at)
    elif watch.expected == "stopped" and state in LOST_STATES:
        say(uow, watch, lost(health_of(watch), detail=detail), at=at)
        drifted(uow, watch, observed=state, detail=detail, at=at)
    elif watch.expected == "stopped" and state is ServerState.RUNNING:
        drifted(uow, watch, observed=state, detail=detail, at=at)
    elif state is ServerState.RUNNING:
        if watch.expected == "running" and watch.process == ProcessHealth.GONE:
            watch.started_at = at
            say(uow, watch, Health(process=ProcessHealth.STARTING), at=at)
        watch.drift = None


def _down(health: Health, detail: str) -> Health:
    return Health(process=ProcessHealth.UNHEALTHY, detail=detail, impairment=health.impairment)


def _resume(watch: Watch, *, at: datetime) -> None:
    lost_server = ServerState(watch.server_state) in LOST_STATES
    watch.next_probe_at = at if watch.expected == "running" and not lost_server else None


def health_of(watch: Watch) -> Health:
    """A watch's verdict as a value."""
    return Health(
        process=ProcessHealth(watch.process),
        channel=ChannelHealth(watch.channel),
        channel_candidate=None if watch.channel_candidate is None else ChannelHealth(watch.channel_candidate),
        detail=watch.detail,
        impairment=watch.impairment,
        failures=watch.failures,
        successes=watch.successes,
    )


def say(uow: UnitOfWork, watch: Watch, health: Health, *, at: datetime) -> None:
    """Write a verdict into its watch, and tell others when they would see a difference."""
    changed = not health.looks_like(health_of(watch))
    watch.process, watch.channel, watch.detail = health.process, health.channel, health.detail
    watch.channel_candidate, watch.impairment = health.channel_candidate, health.impairment
    watch.failures, watch.successes, watch.observed_at = health.failures, health.successes, at
    if changed:
        uow.outbox.add(
            health_changed(health, at=at, version=watch.lifecycle_version),
            key=watch.instance_id,
            account_id=watch.account_id,
        )
        log.info(
            "instance.health_changed",
            instance_id=str(watch.instance_id),
            process=health.process,
            channel=health.channel,
            detail=health.detail,
        )


def health_changed(health: Health, *, at: datetime, version: int) -> InstanceHealthChanged:
    """The event that tells a verdict."""
    return InstanceHealthChanged(
        process=health.process,
        channel=health.channel,
        detail=health.detail,
        observed_at=at,
        lifecycle_version=version,
    )


def drifted(uow: UnitOfWork, watch: Watch, *, observed: str, detail: str | None, at: datetime) -> None:
    """Tell once that what is there is not what was asked for."""
    if watch.drift == observed:
        return
    watch.drift = observed
    event = InstanceDrifted(
        expected=watch.expected,
        observed=observed,
        detail=detail,
        observed_at=at,
        lifecycle_version=watch.lifecycle_version,
    )
    uow.outbox.add(event, key=watch.instance_id, account_id=watch.account_id)
    log.warning("instance.drifted", instance_id=str(watch.instance_id), expected=watch.expected, observed=observed)
