"""Sealing keys and what is sealed to them: what the gateway fetches, and what operators ask for."""

import base64
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel
from sqlalchemy import text

from clawdeploy_common.database import Database
from clawdeploy_common.errors import NotFound
from clawdeploy_common.internal import Caller, Operator
from clawdeploy_common.sealing import fingerprint
from clawdeploy_provisioner.resealing import Resealing

_COPY = text(
    """
    SELECT sealed, sealing_key_id FROM secret_copies
    WHERE instance_id = :id AND account_id = :account AND name = :name AND version = :version
    """
)


class SealedCopy(BaseModel):
    """A sealed secret as the gateway fetches it when it was sealed again."""

    sealed: str
    sealing_key_id: UUID
    sealed_hash: str


class Rotated(BaseModel):
    """The key that secrets are sealed to from now on."""

    sealing_key_id: UUID


def sealing_router(database: Database, resealing: Resealing) -> APIRouter:
    """Routes under ``/internal``."""
    router = APIRouter(prefix="/internal", include_in_schema=False)

    @router.get("/instances/{instance_id}/secrets/{name}/versions/{version}")
    async def get_sealed(
        caller: Caller, instance_id: UUID, name: str, version: Annotated[int, Path(ge=1, le=2**31 - 1)]
    ) -> SealedCopy:
        values = {"id": instance_id, "account": caller.account_id, "name": name, "version": version}
        async with database.transaction() as unit:  # the web role reads nothing sealed: the account is compared here
            row = (await unit.session.execute(_COPY, values)).one_or_none()
        if row is None:
            raise NotFound(f"no secret {name} version {version} of instance {instance_id}")
        sealed = base64.b64encode(row.sealed).decode()
        return SealedCopy(sealed=sealed, sealing_key_id=row.sealing_key_id, sealed_hash=fingerprint(row.sealed))

    @router.post("/operator/sealing-keys/rotate")
    async def rotate(_: Operator) -> Rotated:
        return Rotated(sealing_key_id=await resealing.rotate())

    return router
