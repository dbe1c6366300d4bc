"""What is told without a signature: the time, the catalogue, what is in stock."""

import secrets
from typing import Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from clawdeploy_emulators.cloud.context import InCloud, InWork
from clawdeploy_emulators.ovh import catalogue
from clawdeploy_emulators.ovh.context import application

router = APIRouter()


class AccessRule(BaseModel):
    """A method and a path that a consumer may call."""

    method: str
    path: str


class CredentialRequest(BaseModel):
    """What an application asks its user for."""

    accessRules: list[AccessRule]  # noqa: N815  the API's name
    redirection: str | None = None


@router.get("/auth/time")
async def get_time(cloud: InCloud) -> int:
    """The provider's clock, which signatures are made by."""
    return int(cloud.now().timestamp())


@router.post("/auth/credential", dependencies=[Depends(application)])
async def request_credential(asked: CredentialRequest) -> dict[str, Any]:
    """A consumer key that nobody has validated, and nobody can here: it opens nothing."""
    del asked  # nobody will grant it
    key = secrets.token_hex(16)
    url = f"https://www.ovh.com/auth/?credentialToken={secrets.token_hex(16)}"
    return {"validationUrl": url, "consumerKey": key, "state": "pendingValidation"}


@router.get("/order/catalog/public/vps")
async def get_catalogue(ovhSubsidiary: str) -> dict[str, Any]:  # noqa: N803  the API's name
    """Plans with prices."""
    return catalogue.public_catalogue(ovhSubsidiary)


@router.get("/vps/order/rule/datacenter")
async def get_stock(planCode: str, work: InWork) -> dict[str, Any]:  # noqa: N803  the API's name
    """Where a plan is in stock."""
    states = {True: "out-of-stock", False: "available"}
    places = [
        {"datacenter": place, "status": states[work.sold_out(plan=planCode, place=place)]}
        for place in catalogue.DATACENTERS
    ]
    return {"datacenters": work.seen(places)}
