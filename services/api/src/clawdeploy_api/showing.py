"""From an instance's row to what people see of it."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from clawdeploy_api.actions import Standing
from clawdeploy_api.instance_rows import open_operations
from clawdeploy_api.public.instance import Health, Instance
from clawdeploy_api.public.operation import OperationSummary
from clawdeploy_api.status import (
    ActiveOperation,
    Facts,
    Observation,
    channel_status_of,
    status_of,
    trusted,
)

API_KEY_PREFIX = "api_key."  # pragma: allowlist secret


def show(
    row: Any,
    *,
    observed: Observation | None,
    now: datetime,
    stale_after: timedelta,
    emulated: Collection[str],
    asked: UUID | None = None,
) -> Instance:
    """An instance; ``observed`` is monitor's newest word, fresher than the event it may not have had a reason to send.

    ``emulated`` are the providers that a stand-in plays.
    Its operation is the one just ``asked`` for, else the one that runs, else the one that waits.
    """
    observation = _observation(row, observed)
    observed_at = _newest(observation.observed_at if observation else None, row.state_at)
    operation = _active(row)
    shown = status_of(_facts(row, operation, observation, observed_at), now=now, stale_after=stale_after)
    secrets: list[str] = row.secret_names or []
    channel = channel_status_of(has_token="bot_token" in secrets, shown=shown.status, observation=observation)
    endpoint: str | None = row.endpoint
    heartbeat = observation.observed_at if observation and observation.process == "healthy" else None
    return Instance(
        id=row.id,
        name=row.name,
        slug=row.slug,
        model=row.model,
        channel=row.channel,
        provider=row.provider,
        emulated=row.provider in emulated,
        plan=row.plan,
        region=row.region,
        status=shown.status,
        status_reason=shown.reason,
        desired_status=row.desired_status,
        channel_status=channel,
        channel_status_reason=observation.detail if observation and channel == "failing" else None,
        endpoint=endpoint,
        config=row.config or {},
        config_version=row.config_version,
        applied_config_version=row.applied_config,
        bot_token="***" if "bot_token" in secrets else None,
        api_key=_hidden_keys(secrets),
        provider_server_id=_at_the_provider(row),
        server_paid_until=row.server_paid_until,
        public_address=None,
        private_address=urlsplit(endpoint).netloc if endpoint else None,
        health=_health(row, observation, observed_at),
        operation=_asked(row, asked) or operation,
        created_at=row.created_at,
        updated_at=row.updated_at,
        deployed_at=row.deployed_at,
        last_heartbeat_at=heartbeat,
        observed_at=observed_at,
        deleted_at=row.deleted_at,
    )


def standing(row: Any, shown: Instance) -> Standing:
    """Where an instance stands, for deciding on an action."""
    return Standing(
        status=shown.status,
        desired=row.desired_status,
        has_server=row.server_id is not None,
        open_operations=open_operations(row),
    )


def active_of(operations: list[dict[str, Any]]) -> dict[str, Any] | None:
    """A destroy that was asked for, else the operation that runs, else the first one that waits."""
    destroying = [found for found in operations if found["kind"] == "destroy"]
    running = [found for found in operations if found["state"] != "queued"]
    return next(iter(destroying or running or operations), None)


def _at_the_provider(row: Any) -> str | None:
    """What a provider calls the server; servers made before ids of local processes were opaque are told by their own id."""
    is_path = row.provider_ref is not None and row.provider_ref.startswith("/")
    return str(row.server_id) if is_path else row.provider_ref


def _active(row: Any) -> OperationSummary | None:
    return _summary(row, active_of(row.operations or []))


def _asked(row: Any, operation_id: UUID | None) -> OperationSummary | None:
    operations: list[dict[str, Any]] = row.operations or []
    return _summary(row, next((found for found in operations if str(found["id"]) == str(operation_id)), None))


def _summary(row: Any, found: dict[str, Any] | None) -> OperationSummary | None:
    return OperationSummary.model_validate({**found, "instance_id": row.id}) if found else None


def _facts(
    row: Any, operation: OperationSummary | None, observation: Observation | None, observed_at: datetime | None
) -> Facts:
    active = ActiveOperation(kind=operation.kind, state=operation.state) if operation else None
    return Facts(
        deleted=row.deleted_at is not None,
        operation=active,
        state=row.state or "none",
        reason=row.reason,
        server_state=row.server_state,
        server_detail=row.server_detail,
        observation=observation,
        observed_at=observed_at,
    )


def _observation(row: Any, observed: Observation | None) -> Observation | None:
    seen = [observed] if observed else []
    if row.health_at is not None:
        told = Observation(
            process=row.process,
            channel=row.channel_health,
            observed_at=row.health_at,
            lifecycle_version=row.health_lifecycle_version,
            detail=row.health_detail,
        )
        seen.append(told)
    return trusted(seen, state_version=row.state_version or 0)


def _health(row: Any, observation: Observation | None, observed_at: datetime | None) -> Health:
    if observation is None:
        return Health(process="unknown", channel="unknown", observed_at=observed_at if row.state_at else None)
    return Health(process=observation.process, channel=observation.channel, observed_at=observation.observed_at)


def _hidden_keys(secrets: list[str]) -> dict[str, Any] | None:
    found = {name.removeprefix(API_KEY_PREFIX): "***" for name in sorted(secrets) if name.startswith(API_KEY_PREFIX)}
    return found or None


def _newest(*moments: datetime | None) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)
