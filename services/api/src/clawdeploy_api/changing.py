"""Changing an instance: its name, what it runs with, whether it runs."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, bindparam, text

from clawdeploy_api import audit, configurations, instance_rows, requesting, sealed_secrets
from clawdeploy_api.actions import Action, OpenOperation, Standing, decide, refuse_when_one_waits
from clawdeploy_api.catalogue import CLOUDS
from clawdeploy_api.context import Context
from clawdeploy_api.errors import InstanceGoing, InstanceSuspended, NotInPlace
from clawdeploy_api.public.instance import FRESH, ChangeInstance, Instance, Redeployment
from clawdeploy_api.showing import standing
from clawdeploy_common.work import UnitOfWork

_RENAME = text(
    "UPDATE instances SET name = :name, updated_at = :now WHERE id = :instance AND account_id = :account"
).bindparams(bindparam("now", type_=DateTime(timezone=True)))
_RECONFIGURE = text(
    "UPDATE instances SET config_version = :version, updated_at = :now WHERE id = :instance AND account_id = :account"
).bindparams(bindparam("now", type_=DateTime(timezone=True)))


async def act(
    uow: UnitOfWork, context: Context, instance_id: UUID, action: Action, *, how: Redeployment = FRESH
) -> Instance:
    """Do an action unless what it wishes for is so already; ``how`` is for a redeployment.

    Raises InstanceNotFound, what ``decide`` raises, and NotInPlace.
    """
    work = await _begin(uow, context, instance_id)
    await work.act(action, how=how)
    return await work.end(f"instance.{action}")


async def change(uow: UnitOfWork, context: Context, instance_id: UUID, body: ChangeInstance) -> Instance:
    """Change what is given; an equal value changes nothing. Raises as ``act`` does, and InvalidInput."""
    work = await _begin(uow, context, instance_id)
    if work.standing.desired == "deleted" or work.standing.status == "deleted":
        raise InstanceGoing
    if body.name is not None and body.name != work.row.name:
        await work.rename(body.name)
    await work.reconfigure(body)
    if body.status is not None:
        await work.act("start" if body.status == "running" else "stop")
    return await work.end("instance.change")


@dataclass
class _Work:
    """One transaction's changes to one locked instance."""

    uow: UnitOfWork
    context: Context
    row: Any
    standing: Standing
    done: dict[str, Any] = field(default_factory=dict[str, Any])
    asked: UUID | None = None

    async def act(self, action: Action, *, how: Redeployment = FRESH) -> None:
        if how.in_place and self.row.provider not in CLOUDS:
            raise NotInPlace(self.row.provider)
        kind = decide(action, self.standing, in_place=how.in_place)
        if kind is None:
            return
        operation_id = await requesting.request(self.uow, self.context, self.row, action=action, kind=kind, how=how)
        self._began(kind, operation_id)

    async def rename(self, name: str) -> None:
        context = self.context
        values = {"instance": self.row.id, "account": context.account_id, "name": name, "now": context.now}
        await self.uow.session.execute(_RENAME, values)
        self.done["name"] = True

    async def reconfigure(self, body: ChangeInstance) -> None:
        """A new version when the configuration or a secret changes; applied where there is something to apply it to."""
        given = sealed_secrets.given(body.bot_token, body.api_key)
        if body.config is None and not given:
            return
        known = await sealed_secrets.versions(self.uow, self.context.account_id, self.row.id)
        plain = known.changes(given)
        config = self.row.config if body.config is None else configurations.document(body.config)
        if not plain and config == self.row.config:
            return
        if self.standing.status == "suspended":
            raise InstanceSuspended
        live = self.standing.has_server or bool(self.standing.open_operations)
        if live:
            refuse_when_one_waits(self.standing)
        await self._publish(config, plain, known, live=live)

    async def _publish(
        self, config: dict[str, Any], plain: dict[str, str], known: sealed_secrets.Versions, *, live: bool
    ) -> None:
        uow, context, row = self.uow, self.context, self.row
        secrets = await sealed_secrets.keep(uow, context.account_id, row.id, plain=plain, known=known, now=context.now)
        version = row.config_version + 1
        await configurations.add(uow, account_id=context.account_id, instance_id=row.id, version=version, config=config)
        values = {"instance": row.id, "account": context.account_id, "version": version, "now": context.now}
        await uow.session.execute(_RECONFIGURE, values)
        self.done.update({"config_version": version, "secrets": sorted(plain)})
        if live:
            operation_id = await requesting.publish(uow, context, row, version=version, config=config, secrets=secrets)
            self._began("apply_config", operation_id)

    def _began(self, kind: str, operation_id: UUID) -> None:
        self.done.setdefault("operations", []).append({"kind": kind, "id": str(operation_id)})
        self.asked = operation_id
        opened = (*self.standing.open_operations, OpenOperation(id=operation_id, kind=kind))
        self.standing = Standing(
            status=self.standing.status,
            desired=self.standing.desired,
            has_server=self.standing.has_server,
            open_operations=opened,
        )

    async def end(self, action: str) -> Instance:
        """Note what was done, when anything was, and show the instance as it is now."""
        if not self.done:
            return self.context.show(self.row)
        await audit.write(self.uow, self.context.actor, action, subject=self.row.id, details=self.done)
        row = await instance_rows.get(self.uow, self.context.account_id, self.row.id)
        return self.context.show(row, asked=self.asked)


async def _begin(uow: UnitOfWork, context: Context, instance_id: UUID) -> _Work:
    row = await instance_rows.lock(uow, context.account_id, instance_id)
    return _Work(uow=uow, context=context, row=row, standing=standing(row, context.show(row)))
