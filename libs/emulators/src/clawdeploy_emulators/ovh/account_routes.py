"""/me: whose account it is, how it pays, and the public keys it keeps."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from clawdeploy_emulators.cloud.context import InWork
from clawdeploy_emulators.cloud.fingerprints import NotAPublicKey, fingerprint_of
from clawdeploy_emulators.cloud.refusals import Refusal
from clawdeploy_emulators.ovh.errors import bad_request, not_found

router = APIRouter(prefix="/me")
KEY = "ssh_key"
PAYMENT_METHOD = 4711


class NewKey(BaseModel):
    """A key to store."""

    keyName: str = Field(min_length=1, max_length=64)  # noqa: N815  the API's name
    key: str


@router.get("")
async def get_account() -> dict[str, Any]:
    """Whose account it is."""
    return {
        "nichandle": "xx1111-ovh",
        "customerCode": "1111-2222-33",
        "email": "operator@example.com",
        "firstname": "Operator",
        "name": "Operator",
        "country": "FR",
        "currency": {"code": "EUR", "symbol": "€"},
        "language": "en_GB",
        "legalform": "individual",
        "ovhCompany": "ovh",
        "ovhSubsidiary": "FR",
        "kycValidated": True,
    }


@router.get("/payment/method")
async def list_payment_methods() -> list[int]:
    """The numbers of the ways to pay."""
    return [PAYMENT_METHOD]


@router.get("/payment/method/{method_id}")
async def get_payment_method(method_id: int) -> dict[str, Any]:
    """One way to pay."""
    if method_id != PAYMENT_METHOD:
        raise not_found(f"paymentMethodId = {method_id}")
    return {"paymentMethodId": method_id, "default": True, "status": "VALID", "paymentType": "CREDIT_CARD"}


@router.get("/sshKey")
async def list_keys(work: InWork) -> list[str]:
    """The names of the keys."""
    return work.seen([key["keyName"] for key in work.documents.all(KEY)])


@router.post("/sshKey")
async def create_key(new: NewKey, work: InWork) -> None:
    """Store a key; its name is unique."""
    try:
        fingerprint_of(new.key)
    except NotAPublicKey:
        raise bad_request("Invalid SSH key") from None
    if work.documents.find(KEY, new.keyName) is not None:
        raise Refusal(409, "Client::Conflict", f"SSH key {new.keyName} already exists")
    work.documents.add(KEY, {"id": new.keyName, **new.model_dump()})


@router.get("/sshKey/{name}")
async def get_key(name: str, work: InWork) -> dict[str, Any]:
    """One key."""
    key = work.documents.find(KEY, name)
    if key is None:
        raise not_found(f"keyName = {name}")
    return {"keyName": key["keyName"], "key": key["key"], "default": False}


@router.delete("/sshKey/{name}")
async def delete_key(name: str, work: InWork) -> None:
    """Forget a key."""
    if work.documents.find(KEY, name) is None:
        raise not_found(f"keyName = {name}")
    work.documents.remove(KEY, name)
