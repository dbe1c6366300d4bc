"""/account/keys: public keys that new Droplets let in, named by number or fingerprint."""

from typing import Any

from fastapi import APIRouter, status
from pydantic import BaseModel, Field

from clawdeploy_emulators.cloud.context import InWork
from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.fingerprints import NotAPublicKey, fingerprint_of
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.digitalocean.errors import not_found, unprocessable
from clawdeploy_emulators.digitalocean.listing import Asked

router = APIRouter(prefix="/account/keys")
KIND = "ssh_key"


class NewKey(BaseModel):
    """A key to store."""

    name: str = Field(min_length=1)
    public_key: str


class KeyChange(BaseModel):
    """The name a key is to have."""

    name: str = Field(min_length=1)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_key(new: NewKey, work: InWork) -> dict[str, Any]:
    """Store a key; names may repeat, keys may not."""
    try:
        fingerprint = fingerprint_of(new.public_key)
    except NotAPublicKey:
        raise unprocessable("Key invalid, key should be of the format `type key [comment]`") from None
    if find_key(work, fingerprint) is not None:
        raise unprocessable("SSH Key is already in use on your account")
    key = {"id": work.documents.next_id(), **new.model_dump(), "fingerprint": fingerprint}
    work.documents.add(KIND, key)
    return {"ssh_key": key}


@router.get("")
async def list_keys(asked: Asked, work: InWork) -> dict[str, Any]:
    """The keys of the account."""
    return asked.answer("ssh_keys", work.seen(work.documents.all(KIND)))


@router.get("/{id_or_fingerprint}")
async def get_key(id_or_fingerprint: str, work: InWork) -> dict[str, Any]:
    """One key."""
    return {"ssh_key": _known(work, id_or_fingerprint)}


@router.put("/{id_or_fingerprint}")
async def rename_key(id_or_fingerprint: str, change: KeyChange, work: InWork) -> dict[str, Any]:
    """Rename a key."""
    key = {**_known(work, id_or_fingerprint), "name": change.name}
    work.documents.put(KIND, key)
    return {"ssh_key": key}


@router.delete("/{id_or_fingerprint}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_key(id_or_fingerprint: str, work: InWork) -> None:
    """Forget a key; Droplets that have it keep it."""
    work.documents.remove(KIND, _known(work, id_or_fingerprint)["id"])


def find_key(work: Work, id_or_fingerprint: object) -> Document | None:
    """The key with this number or fingerprint."""
    wanted = str(id_or_fingerprint)
    return next((key for key in work.documents.all(KIND) if wanted in {str(key["id"]), key["fingerprint"]}), None)


def _known(work: Work, id_or_fingerprint: str) -> Document:
    key = find_key(work, id_or_fingerprint)
    if key is None:
        raise not_found()
    return key
