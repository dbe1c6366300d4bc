"""Secrets that the provisioner sealed again: their new bytes are fetched by a job, because a handler does no outside I/O (law 4)."""

import base64
from http import HTTPStatus
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import LargeBinary, bindparam, text

from clawdeploy_api.errors import Refused
from clawdeploy_api.forwarding import Forwarder, Target
from clawdeploy_api.sealed_secrets import NEWEST_KEY, SealedSecret
from clawdeploy_common.database import Database
from clawdeploy_common.errors import PermanentError
from clawdeploy_common.jobs import Job, JobHandler
from clawdeploy_common.sealing import fingerprint
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.deployments import SecretReference
from clawdeploy_events.lifecycle import SecretResealed

FETCH_JOB = "fetch_resealed_secret"
PAGE = 100
_REPLACE = text(
    """
    UPDATE secrets SET sealed = :sealed, sealing_key_id = :key, sealed_hash = :hash
    WHERE instance_id = :instance AND account_id = :account AND name = :name AND version = :version
    """
).bindparams(bindparam("sealed", type_=LargeBinary))
_SEALED_TO = text(
    """
    SELECT instance_id, account_id, json_agg(json_build_object('name', name, 'version', version)) AS secrets
    FROM secrets WHERE sealing_key_id = :key AND instance_id > :after
    GROUP BY instance_id, account_id ORDER BY instance_id LIMIT :limit
    """
)


class Held(BaseModel):
    """The secrets of one instance that are sealed to a key."""

    instance_id: UUID
    account_id: UUID
    secrets: list[SecretReference]


class Holding(BaseModel):
    """A page of what is sealed to a key, by instance; ``newest_key_id`` is what secrets are sealed to now."""

    newest_key_id: UUID | None
    items: list[Held]


async def sealed_to(uow: UnitOfWork, key_id: UUID, *, after: UUID) -> Holding:
    """What is sealed to a key, whoever it belongs to."""
    newest = (await uow.session.execute(NEWEST_KEY)).one_or_none()
    rows = (await uow.session.execute(_SEALED_TO, {"key": key_id, "after": after, "limit": PAGE})).mappings().all()
    items = [Held.model_validate(dict(row)) for row in rows]
    return Holding(newest_key_id=newest.id if newest else None, items=items)


async def fetch_later(uow: UnitOfWork, event: SecretResealed) -> None:
    """Have the new bytes fetched."""
    payload = {
        "instance_id": str(uow.cause.key),
        "account_id": str(uow.cause.account_id),
        "name": event.name,
        "version": event.version,
        "sealed_hash": event.sealed_hash,
    }
    key = f"{uow.cause.key}/{event.name}/{event.version}/{event.sealing_key_id}"
    await uow.jobs.add(FETCH_JOB, dedupe_key=key, payload=payload)


def fetch_job(database: Database, forwarder: Forwarder) -> JobHandler:
    """The job that fetches a secret's new bytes and puts them in the place of the old ones."""

    async def fetch(job: Job) -> None:
        facts = job.payload
        path = f"/internal/instances/{facts['instance_id']}/secrets/{facts['name']}/versions/{facts['version']}"
        target = Target(service="provisioner", path=path, account_id=UUID(facts["account_id"]))
        try:
            found = SealedSecret.model_validate(await forwarder.get(target))
        except Refused as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return  # the instance is gone, and its secrets with it
            raise
        await _replace(database, facts, found)

    return fetch


async def _replace(database: Database, facts: dict[str, Any], found: SealedSecret) -> None:
    sealed = base64.b64decode(found.sealed)
    if fingerprint(sealed) != found.sealed_hash:
        raise PermanentError(f"secret {facts['name']} arrived damaged")
    if found.sealed_hash != facts["sealed_hash"]:
        return  # sealed once more meanwhile: that event's own job fetches it
    where = {"instance": UUID(facts["instance_id"]), "account": UUID(facts["account_id"]), "name": facts["name"]}
    values = {"sealed": sealed, "key": found.sealing_key_id, "hash": found.sealed_hash, "version": facts["version"]}
    async with database.transaction() as unit:
        await unit.session.execute(_REPLACE, {**where, **values})
