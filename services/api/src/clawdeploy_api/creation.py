"""Creating an instance: quota, desired state, first configuration, request and audit entry in one statement (law 11)."""

from dataclasses import asdict, dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Text, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from clawdeploy_api import accounts, catalogue, configurations, sealed_secrets
from clawdeploy_api.context import Context
from clawdeploy_api.deployments import plan_of
from clawdeploy_api.errors import PlanNotIncluded, QuotaExceeded, SlugTaken
from clawdeploy_api.places import Places
from clawdeploy_api.public.instance import CreateInstance, Instance
from clawdeploy_api.slugs import slug_of, with_suffix
from clawdeploy_common.ids import new_id
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.deployments import DeploymentRequested

_RESERVE = """
    UPDATE accounts SET used = used + 1 WHERE id = :account AND used < coalesce(max_instances, plan_instances) RETURNING id
"""
_RESERVED_BEFORE = "SELECT id FROM accounts WHERE id = :account"
_CREATE = """
    WITH reserved AS ({reserve}), added AS (
        INSERT INTO instances (id, account_id, name, slug, model, channel, provider, plan, region, desired_status, config_version,
                               created_at, updated_at)
        SELECT :id, r.id, :name, :slug, :model, :channel, :provider, :plan, :region, 'running', 1, :now, :now FROM reserved r
        ON CONFLICT (account_id, slug) WHERE deleted_at IS NULL DO NOTHING RETURNING id, account_id
    ), configured AS (
        INSERT INTO configs (instance_id, version, account_id, content_hash, config, created_at)
        SELECT id, 1, account_id, :content_hash, :config, :now FROM added
    ), requested AS (
        INSERT INTO operation_requests (id, account_id, instance_id, kind, requested_by, requested_at)
        SELECT :operation, account_id, id, 'deploy', 'person', :now FROM added
    ), audited AS (
        INSERT INTO audit_log (id, account_id, api_key_id, action, subject, details, address, at)
        SELECT :audit, account_id, :key, 'instance.create', id, :details, :address, :now FROM added
    )
    SELECT (SELECT count(*) FROM reserved) AS reserved, (SELECT count(*) FROM added) AS added
"""
_TYPES = (
    *(bindparam(name, type_=Uuid) for name in ("id", "account", "operation", "audit", "key")),
    *(bindparam(name, type_=JSONB) for name in ("config", "details")),
    *(bindparam(name, type_=Text) for name in ("name", "slug", "model", "channel", "provider", "plan", "region")),
    bindparam("content_hash", type_=Text),
    bindparam("address", type_=Text),
    bindparam("now", type_=DateTime(timezone=True)),
)
_RESERVE_AND_CREATE = text(_CREATE.format(reserve=_RESERVE)).bindparams(*_TYPES)
_CREATE_ONLY = text(_CREATE.format(reserve=_RESERVED_BEFORE)).bindparams(*_TYPES)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen, each checked against the catalogue."""

    name: str
    slug: str
    model: str
    channel: str
    provider: str
    plan: str
    region: str


def choose(body: CreateInstance, context: Context, places: Places) -> Choice:
    """Check what was asked for; raises InvalidInput, PlanNotIncluded."""
    settings, account_plan = context.settings, context.person.plan
    provider = places.choose(body.provider)
    plan = catalogue.find_plan(body.plan or account_plan).id
    if not catalogue.includes(account_plan, plan):
        raise PlanNotIncluded(plan=plan, account_plan=account_plan, upgrade_url=settings.upgrade_address)
    return Choice(
        name=body.name,
        slug=body.slug or slug_of(body.name),
        model=catalogue.find_model(body.model).id,
        channel=catalogue.find_channel(body.channel).id,
        provider=provider.id,
        plan=plan,
        region=catalogue.find_region(provider, body.region),
    )


async def create(uow: UnitOfWork, context: Context, body: CreateInstance, *, places: Places) -> Instance:
    """Create an instance and ask for its deployment; raises InvalidInput, QuotaExceeded, SlugTaken, TemporaryError."""
    choice = choose(body, context, places)
    config = configurations.document(body.config)
    plain = sealed_secrets.given(body.bot_token, body.api_key)
    instance_id, operation_id = new_id(), new_id()
    values = {
        **asdict(choice),
        "id": instance_id,
        "account": context.account_id,
        "operation": operation_id,
        "audit": new_id(),
        "key": context.actor.key_id,
        "address": context.actor.address,
        "details": {"operation": str(operation_id), "secrets": sorted(plain)},
        "config": config,
        "content_hash": configurations.content_hash(config),
        "now": context.now,
    }
    slug = await _insert(uow, context, values, slug_is_chosen=body.slug is not None)
    secrets = await sealed_secrets.keep(
        uow, context.account_id, instance_id, plain=plain, known=sealed_secrets.Versions(), now=context.now
    )
    row = _row({**values, "slug": slug}, secret_names=[reference.name for reference in secrets])
    plan = plan_of(row, operation_id=operation_id, config=config, secrets=secrets, price_version=context.price_version)
    uow.outbox.add(
        DeploymentRequested(deployment=plan),
        key=instance_id,
        account_id=context.account_id,
        correlation_id=operation_id,
    )
    return context.show(row)


async def _insert(uow: UnitOfWork, context: Context, values: dict[str, Any], *, slug_is_chosen: bool) -> str:
    """Reserve and insert; a slug made from the name that is taken gets a suffix."""
    done = (await uow.session.execute(_RESERVE_AND_CREATE, values)).one()
    if not done.reserved:
        await _refuse(uow, context)
    slug: str = values["slug"]
    if done.added:
        return slug
    if slug_is_chosen:
        raise SlugTaken(f"another live instance has the slug {slug}")
    values = {**values, "slug": with_suffix(slug)}
    if not (await uow.session.execute(_CREATE_ONLY, values)).one().added:
        raise SlugTaken(f"no free slug was found for {slug}; choose one")
    return values["slug"]


async def _refuse(uow: UnitOfWork, context: Context) -> None:
    account = await accounts.get(uow, context.account_id)
    raise QuotaExceeded(
        plan=account.plan,
        limit=account.max_instances,
        used=account.used,
        upgrade_url=context.settings.upgrade_address,
    )


def _row(values: dict[str, Any], *, secret_names: list[str]) -> Any:
    """The new instance as its row would be read: nothing was told or observed of it yet."""
    now: datetime = values["now"]
    operation_id: UUID = values["operation"]
    operation = {"id": operation_id, "kind": "deploy", "state": "queued", "error": None, "created_at": now}
    return SimpleNamespace(
        **{name: values[name] for name in ("id", *Choice.__dataclass_fields__, "config")},
        desired_status="running",
        config_version=1,
        created_at=now,
        updated_at=now,
        secret_names=secret_names,
        operations=[{**operation, "started_at": None, "finished_at": None}],
        **dict.fromkeys(_UNKNOWN),
    )


_UNKNOWN = (
    "deleted_at",
    "destroy_requested_at",
    "state",
    "state_version",
    "state_at",
    "reason",
    "server_id",
    "provider_ref",
    "server_state",
    "server_detail",
    "server_paid_until",
    "endpoint",
    "deployed_at",
    "applied_config",
    "process",
    "channel_health",
    "health_detail",
    "health_at",
    "health_lifecycle_version",
)
