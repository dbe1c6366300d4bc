"""Changing the sealing key: what is sealed to an old one is opened and sealed to the newest, told by ``secret.resealed``.

The gateway is asked what it holds sealed to an old key, so that nothing is forgotten: neither a secret that no operation ever
fetched, nor one that it sealed before it heard of the new key.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from pydantic import BaseModel
from sqlalchemy import LargeBinary, bindparam, text

from clawdeploy_common import sealing
from clawdeploy_common.database import Database
from clawdeploy_common.errors import ClawDeployError, PermanentError
from clawdeploy_common.wakeup import Wakeup
from clawdeploy_events.deployments import SecretReference
from clawdeploy_events.lifecycle import SecretResealed
from clawdeploy_provisioner.sealing_keys import PublicKey, SealingKeys
from clawdeploy_provisioner.secret_store import Owner, SecretStore

log = structlog.get_logger()

_LIVE = text("SELECT 1 FROM instances WHERE id = :id AND account_id = :account AND destroyed_at IS NULL FOR SHARE")
_RESEAL = text(
    """
    INSERT INTO secret_copies AS c (instance_id, name, version, account_id, sealing_key_id, sealed)
    VALUES (:id, :name, :version, :account, :new, :sealed)
    ON CONFLICT (instance_id, name, version) DO UPDATE SET sealing_key_id = excluded.sealing_key_id, sealed = excluded.sealed
    WHERE c.sealing_key_id = :old
    RETURNING 1
    """
).bindparams(bindparam("sealed", type_=LargeBinary))


class Held(BaseModel):
    """The secrets of one instance that the gateway holds sealed to a key."""

    instance_id: UUID
    account_id: UUID
    secrets: list[SecretReference]


class Holding(BaseModel):
    """A page of what the gateway holds sealed to a key; ``newest_key_id`` is what it seals to."""

    newest_key_id: UUID | None
    items: list[Held]


class Resealing:
    """Looks every ``seconds``, and at once when a key was rotated."""

    def __init__(
        self, database: Database, store: SecretStore, *, seconds: float, max_age: timedelta, grace: timedelta
    ) -> None:
        self._database = database
        self._store = store
        self._keys: SealingKeys = store.keys
        self._seconds = seconds
        self._max_age = max_age
        self._grace = grace
        self._rotated = Wakeup()

    async def rotate(self) -> UUID:
        """Announce a new key now, and begin; returns its id."""
        key_id = await self._keys.rotate()
        self._rotated.set()
        return key_id

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._keys.renew(older_than=self._max_age)
            try:
                await self.round()
            except ClawDeployError as error:
                log.warning("resealing.waiting", error=str(error))
            await self._rotated.wait(self._seconds)

    async def round(self) -> None:
        """Seal to the newest key what is sealed to any other, and let keys go that nothing names."""
        newest, *older = await self._keys.all()
        for old in older:
            named = await self._keys.is_copied(old.id)
            async for held in self._held(old):
                named = True
                if held is not None:
                    await self._reseal_all(held, old, newest)
            await (self._keys.named(old.id) if named else self._keys.unnamed(old.id, grace=self._grace))

    async def _held(self, old: PublicKey) -> AsyncIterator[Held | None]:
        """What the gateway holds; None when it still seals to this key."""
        after = UUID(int=0)
        while True:
            page = Holding.model_validate(await self._store.ask_gateway(f"sealing-keys/{old.id}/secrets?after={after}"))
            if page.newest_key_id in (old.id, None):
                yield None
            for held in page.items:
                yield held
            if not page.items:
                return
            after = page.items[-1].instance_id

    async def _reseal_all(self, held: Held, old: PublicKey, newest: PublicKey) -> None:
        owner = Owner(instance_id=held.instance_id, account_id=held.account_id)
        for reference in held.secrets:
            try:
                await self._reseal(owner, reference, old, newest)
            except PermanentError as error:  # it stays as it is, and its key stays with it
                log.warning(
                    "secret.not_resealed", instance_id=str(held.instance_id), name=reference.name, error=str(error)
                )

    async def _reseal(self, owner: Owner, reference: SecretReference, old: PublicKey, newest: PublicKey) -> None:
        values: dict[str, Any] = {"id": owner.instance_id, "account": owner.account_id}
        key_id, sealed = await self._store.sealed(owner, reference, keep=False)
        if key_id != old.id:
            return  # done before: the gateway has not fetched it yet
        info = sealing.secret_info(instance_id=owner.instance_id, name=reference.name, version=reference.version)
        plaintext = await self._keys.open(key_id, sealed, info=info)
        again = sealing.seal(plaintext, public_key=newest.public, info=info)
        copy = {**values, **reference.model_dump(), "old": old.id, "new": newest.id, "sealed": again}
        async with self._database.transaction() as unit:
            if await unit.session.scalar(_LIVE, values) is None:
                return
            if await unit.session.scalar(_RESEAL, copy) is not None:
                event = SecretResealed(
                    name=reference.name,
                    version=reference.version,
                    sealed_hash=sealing.fingerprint(again),
                    sealing_key_id=newest.id,
                )
                unit.outbox.add(event, key=owner.instance_id, account_id=owner.account_id)
