"""Secrets of instances: sealed to the provisioner the moment they come in (law 10)."""

import base64
from collections.abc import Mapping, Sequence
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import LargeBinary, Uuid, bindparam, text

from clawdeploy_api.public.instance import HIDDEN, KeyProvider
from clawdeploy_api.showing import API_KEY_PREFIX
from clawdeploy_common.errors import NotFound, TemporaryError
from clawdeploy_common.sealing import fingerprint, seal, secret_info
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.deployments import SecretReference, SecretSealed

NEWEST_KEY = text("SELECT id, public_key FROM sealing_keys ORDER BY announced_at DESC, id DESC LIMIT 1")
_VERSIONS = text(
    "SELECT name, max(version) AS version FROM secrets WHERE instance_id = :instance AND account_id = :account GROUP BY name"
)
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
    """The secrets of a request by name; null and ``***`` mean: leave as it is."""
    named = {"bot_token": bot_token, **{f"{API_KEY_PREFIX}{name}": key for name, key in (api_key or {}).items()}}
    return {name: value for name, value in named.items() if value is not None and value != HIDDEN}


async def references(uow: UnitOfWork, account_id: UUID, instance_id: UUID) -> list[SecretReference]:
    """The newest version of each secret of an instance."""
    rows = await uow.session.execute(_VERSIONS, {"instance": instance_id, "account": account_id})
    return sorted((SecretReference(name=row.name, version=row.version) for row in rows), key=lambda r: r.name)


async def keep(
    uow: UnitOfWork, account_id: UUID, instance_id: UUID, *, plain: Mapping[str, str], known: Sequence[SecretReference]
) -> list[SecretReference]:
    """Seal secrets and store them; returns the references of all the instance has.

    Raises TemporaryError while the provisioner has not announced a key to seal to.
    """
    versions = {reference.name: reference.version for reference in known}
    if plain:
        key = (await uow.session.execute(NEWEST_KEY)).one_or_none()
        if key is None:
            raise TemporaryError(
                "Secrets cannot be taken yet: the provisioner has not announced the key they are sealed to."
            )
        for name, value in plain.items():
            versions[name] = versions.get(name, 0) + 1
            await _seal(uow, account_id, instance_id, name=name, version=versions[name], value=value, key=key)
    return [SecretReference(name=name, version=version) for name, version in sorted(versions.items())]


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
