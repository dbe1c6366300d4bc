"""/ssh_keys: public keys that new servers let in."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, status
from pydantic import BaseModel, Field

from clawdeploy_emulators.cloud.context import InWork
from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.fingerprints import NotAPublicKey, fingerprint_of
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.hetzner.context import InSettings, moment
from clawdeploy_emulators.hetzner.errors import invalid_input, limit_exceeded, not_found, not_unique
from clawdeploy_emulators.hetzner.labels import ValidLabels
from clawdeploy_emulators.hetzner.listing import Asked

router = APIRouter(prefix="/ssh_keys")
KIND = "ssh_key"


class NewKey(BaseModel):
    """A key to store."""

    name: str = Field(min_length=1, max_length=255)
    public_key: str
    labels: ValidLabels = {}


class KeyChange(BaseModel):
    """What of a key is changed."""

    name: str | None = Field(default=None, min_length=1, max_length=255)
    labels: ValidLabels | None = None


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_key(new: NewKey, work: InWork, settings: InSettings) -> dict[str, Any]:
    """Store a key; its name and its fingerprint are unique in the project."""
    try:
        fingerprint = fingerprint_of(new.public_key)
    except NotAPublicKey:
        raise invalid_input("public_key", "is not a valid SSH public key") from None
    keys = work.documents.all(KIND)
    if len(keys) >= settings.key_limit:
        raise limit_exceeded("ssh_key_limit")
    _refuse_twin(keys, name=new.name, fingerprint=fingerprint)
    key = {
        "id": work.documents.next_id(),
        **new.model_dump(),
        "fingerprint": fingerprint,
        "created": moment(work.now),
    }
    work.documents.add(KIND, key)
    return {"ssh_key": key}


@router.get("")
async def list_keys(asked: Asked, work: InWork, fingerprint: Annotated[str | None, Query()] = None) -> dict[str, Any]:
    """The keys of the project."""
    keys = [key for key in work.documents.all(KIND) if fingerprint in {None, key["fingerprint"]}]
    return asked.answer("ssh_keys", work.seen(keys))


@router.get("/{key_id}")
async def get_key(key_id: int, work: InWork) -> dict[str, Any]:
    """One key."""
    return {"ssh_key": _known(work, key_id)}


@router.put("/{key_id}")
async def change_key(key_id: int, change: KeyChange, work: InWork) -> dict[str, Any]:
    """Rename a key or replace its labels."""
    key = _known(work, key_id)
    others = [other for other in work.documents.all(KIND) if other["id"] != key_id]
    if change.name is not None:
        _refuse_twin(others, name=change.name, fingerprint=None)
    changed = {**key, **change.model_dump(exclude_none=True)}
    work.documents.put(KIND, changed)
    return {"ssh_key": changed}


@router.delete("/{key_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_key(key_id: int, work: InWork) -> None:
    """Forget a key; servers that have it keep it."""
    _known(work, key_id)
    work.documents.remove(KIND, key_id)


def _known(work: Work, key_id: int) -> Document:
    key = work.documents.find(KIND, key_id)
    if key is None:
        raise not_found("SSH key", key_id)
    return key


def _refuse_twin(keys: list[Document], *, name: str, fingerprint: str | None) -> None:
    if any(key["name"] == name for key in keys):
        raise not_unique("SSH key", "name")
    if any(key["fingerprint"] == fingerprint for key in keys):
        raise not_unique("SSH key", "fingerprint")
