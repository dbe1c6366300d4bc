"""Secrets of instances: sealed to the provisioner the moment they come in (law 10)."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import DateTime, LargeBinary, Uuid, bindparam, text

from clawdeploy_api.public.instance import HIDDEN, KeyProvider
from clawdeploy_api.showing import API_KEY_PREFIX
from clawdeploy_common.errors import NotFound, TemporaryError
from clawdeploy_common.sealing import fingerprint, seal, secret_info
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.deployments import SecretReference, SecretRemoved, SecretSealed

NEWEST_KEY = text("SELECT id, public_key FROM sealing_keys ORDER BY announced_at DESC, id DESC LIMIT 1")
_NEWEST = text(
    """
    SELECT name, max(version) AS version, bool_and(removed_at IS NOT NULL) AS removed
    FROM secrets WHERE instance_id = :instance AND account_id = :account GROUP BY name
    """
)
_REMOVE = text(
    """
    UPDATE secrets SET removed_at = :now
    WHERE instance_id = :instance AND account_id = :account AND name = :name AND removed_at IS NULL
    """
).bindparams(bindparam("now", type_=DateTime(timezone=True)))
_ADD = text(
    """
    INSERT INTO secrets (instance_id, name, version, account_id, sealing_key_id, sealed, sealed_hash)
    VALUES (:instance, :name, :version, :account, :key, :sealed, :sealed_hash)
    """
).bindparams(bindparam("key", type_=Uuid), bindparam("sealed", type_=LargeBinary))
_FIND = text(
    """
    SELECT sealed, sealing_key_id, sealed_hash FROM secrets
    WHERE instance_id = :instance AND name = :name AND version = :version
    """
)
_FORGET = text("DELETE FROM secrets WHERE instance_id = :instance")


class SealedSecret(BaseModel):
    """A sealed secret as the provisioner fetches it."""

    sealed: str
    sealing_key_id: UUID
    sealed_hash: str


def given(bot_token: str | None, api_key: Mapping[KeyProvider, str] | None) -> dict[str, str]:
    """The secrets of a request by name; null and ``***`` mean: leave as it is. An empty one is to be removed."""
    named = {"bot_token": bot_token, **{f"{API_KEY_PREFIX}{name}": key for name, key in (api_key or {}).items()}}
    return {name: value for name, value in named.items() if value is not None and value != HIDDEN}


@dataclass(kw_only=True)
class Versions:
    """The newest version of each secret that an instance ever had, and which of them were removed."""

    newest: dict[str, int] = field(default_factory=dict[str, int])
    removed: set[str] = field(default_factory=set[str])

    @property
    def references(self) -> list[SecretReference]:
        """The secrets it has."""
        present = sorted(self.newest.keys() - self.removed)
        return [SecretReference(name=name, version=self.newest[name]) for name in present]

    def changes(self, plain: Mapping[str, str]) -> dict[str, str]:
        """What of a request changes anything: removing what is not there does not."""
        return {name: value for name, value in plain.items() if value or name in self.newest.keys() - self.removed}


async def versions(uow: UnitOfWork, account_id: UUID, instance_id: UUID) -> Versions:
    """What an instance has."""
    rows = (await uow.session.execute(_NEWEST, {"instance": instance_id, "account": account_id})).all()
    return Versions(newest={row.name: row.version for row in rows}, removed={row.name for row in rows if row.removed})


async def keep(
    uow: UnitOfWork, account_id: UUID, instance_id: UUID, *, plain: Mapping[str, str], known: Versions, now: datetime
) -> list[SecretReference]:
    """Seal secrets and store them, or remove the empty ones; returns the references of all the instance has.

    Raises TemporaryError while the provisioner has not announced a key to seal to.
    """
    for name in [name for name, value in plain.items() if not value]:
        known.removed.add(name)
        where = {"instance": instance_id, "account": account_id, "name": name}
        await uow.session.execute(_REMOVE, {**where, "now": now})
        event = SecretRemoved(name=name, version=known.newest[name])
        uow.outbox.add(event, key=instance_id, account_id=account_id)
    await _seal_all(uow, account_id, instance_id, plain={n: v for n, v in plain.items() if v}, known=known)
    return known.references


async def _seal_all(
    uow: UnitOfWork, account_id: UUID, instance_id: UUID, *, plain: Mapping[str, str], known: Versions
) -> None:
    if not plain:
        return
    key = (await uow.session.execute(NEWEST_KEY)).one_or_none()
    if key is None:
        raise TemporaryError(
            "Secrets cannot be taken yet: the provisioner has not announced the key they are sealed to."
        )
    for name, value in plain.items():
        version = known.newest[name] = known.newest.get(name, 0) + 1
        known.removed.discard(name)
        await _seal(uow, account_id, instance_id, name=name, version=version, value=value, key=key)


async def _seal(
    uow: UnitOfWork, account_id: UUID, instance_id: UUID, *, name: str, version: int, value: str, key: tuple[UUID, str]
) -> None:
    key_id, public_key = key
    info = secret_info(instance_id=instance_id, name=name, version=version)
    sealed = seal(value.encode(), public_key=base64.b64decode(public_key), info=info)
    values = {"instance": instance_id, "name": name, "version": version, "account": account_id, "key": key_id}
    await uow.session.execute(_ADD, {**values, "sealed": sealed, "sealed_hash": fingerprint(sealed)})
    event = SecretSealed(name=name, version=version, sealed_hash=fingerprint(sealed), sealing_key_id=key_id)
    uow.outbox.add(event, key=instance_id, account_id=account_id)


async def find(uow: UnitOfWork, instance_id: UUID, *, name: str, version: int) -> SealedSecret:
    """A sealed secret for the provisioner; raises NotFound."""
    where = {"instance": instance_id, "name": name, "version": version}
    row = (await uow.session.execute(_FIND, where)).one_or_none()
    if row is None:
        raise NotFound(f"no secret {name} version {version} of instance {instance_id}")
    sealed = base64.b64encode(row.sealed).decode()
    return SealedSecret(sealed=sealed, sealing_key_id=row.sealing_key_id, sealed_hash=row.sealed_hash)


async def forget(uow: UnitOfWork, instance_id: UUID) -> None:
    """Erase an instance's secrets for good."""
    await uow.session.execute(_FORGET, {"instance": instance_id})
