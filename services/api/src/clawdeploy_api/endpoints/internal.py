"""What the provisioner fetches: sealed secrets and configuration versions, for the account its token names."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path

from clawdeploy_api import configurations, resealed_secrets, sealed_secrets
from clawdeploy_api.configurations import PublishedConfig
from clawdeploy_api.gateway import TheGateway
from clawdeploy_api.resealed_secrets import Holding
from clawdeploy_api.sealed_secrets import SealedSecret
from clawdeploy_common.errors import Forbidden
from clawdeploy_common.internal import Caller
from clawdeploy_common.tokens import InternalPass

keys = APIRouter(prefix="/internal/sealing-keys", include_in_schema=False)
router = APIRouter(prefix="/internal/instances/{instance_id}", include_in_schema=False)

Version = Annotated[int, Path(ge=1, le=2**31)]
SecretName = Annotated[str, Path(max_length=64, pattern=r"^[a-z_.]+$")]


@router.get("/secrets/{name}/versions/{version}")
async def get_secret(
    instance_id: UUID, name: SecretName, version: Version, gateway: TheGateway, caller: Caller
) -> SealedSecret:
    """The sealed bytes; the gateway cannot open them."""
    _require_provisioner(caller)
    async with gateway.database.web_transaction(caller.account_id) as unit:
        return await sealed_secrets.find(unit, instance_id, name=name, version=version)


@router.get("/configs/{version}")
async def get_config(instance_id: UUID, version: Version, gateway: TheGateway, caller: Caller) -> PublishedConfig:
    """What was published under this version."""
    _require_provisioner(caller)
    async with gateway.database.web_transaction(caller.account_id) as unit:
        return await configurations.find(unit, instance_id, version)


@keys.get("/{key_id}/secrets")
async def get_sealed_to(key_id: UUID, gateway: TheGateway, caller: Caller, after: UUID) -> Holding:
    """What is still sealed to a key, of every account: it is to be sealed again."""
    _require_provisioner(caller)
    async with gateway.database.transaction() as unit:
        return await resealed_secrets.sealed_to(unit, key_id, after=after)


def _require_provisioner(caller: InternalPass) -> None:
    if caller.issuer != "provisioner":
        raise Forbidden("only the provisioner fetches these")
