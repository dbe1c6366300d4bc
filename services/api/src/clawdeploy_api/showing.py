"""From an instance's row to what people see of it."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from clawdeploy_api.actions import Standing
from clawdeploy_api.instance_rows import open_operations
from clawdeploy_api.public.instance import Health, Instance
from clawdeploy_api.public.operation import OperationSummary
from clawdeploy_api.status import (
    ActiveOperation,
    Facts,
    Observation,
    Shown,
    channel_status_of,
    status_of,
    trusted,
)

API_KEY_PREFIX = "api_key."


def show(row: Any, *, observed: Observation | None, now: datetime, stale_after: timedelta) -> Instance:
    """An instance; ``observed`` is monitor's newest word, fresher than the event it may not have had a reason to send."""
    observation = _observation(row, observed)
    observed_at = _newest(observation.observed_at if observation else None, row.state_at)
    operation = _active(row)
    shown = status_of(_facts(row, operation, observation, observed_at), now=now, stale_after=stale_after)
    secrets: list[str] = row.secret_names or []
    channel = channel_status_of(has_token="bot_token" in secrets, shown=shown.status, observation=observation)
    private = urlsplit(row.endpoint).netloc if row.endpoint else None
    heartbeat = observation.observed_at if observation and observation.process == "healthy" else None
    return Instance(
        id=row.id,
        name=row.name,
        slug=row.slug,
        model=row.model,
        channel=row.channel,
        provider=row.provider,
        plan=row.plan,
        region=row.region,
        status=shown.status,
        status_reason=shown.reason,
        desired_status=row.desired_status,
        channel_status=channel,
        endpoint=row.endpoint,
        config=row.config or {},
        config_version=row.config_version,
        bot_token="***" if "bot_token" in secrets else None,
        api_key=_hidden_keys(secrets),
        provider_server_id=row.provider_ref,
        public_address=None,
        private_address=private,
        health=_health(row, observation, observed_at),
        operation=operation,
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
    """The operation that runs, else the first one that waits."""
    running = [found for found in operations if found["state"] != "queued"]
    return next(iter(running or operations), None)


def _active(row: Any) -> OperationSummary | None:
    found = active_of(row.operations or [])
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
    newest = trusted(seen, state_version=row.state_version or 0)
    return newest


def _health(row: Any, observation: Observation | None, observed_at: datetime | None) -> Health:
    if observation is None:
        return Health(process="unknown", channel="unknown", observed_at=observed_at if row.state_at else None)
    return Health(process=observation.process, channel=observation.channel, observed_at=observation.observed_at)


def _hidden_keys(secrets: list[str]) -> dict[str, Any] | None:
    found = {name.removeprefix(API_KEY_PREFIX): "***" for name in sorted(secrets) if name.startswith(API_KEY_PREFIX)}
    return found or None


def _newest(*moments: datetime | None) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)


__all__ = ["Shown", "active_of", "show", "standing"]
