"""/droplets: create, list, look at, destroy."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, status
from pydantic import AfterValidator, BaseModel, Field

from clawdeploy_emulators.cloud.context import InWork
from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.digitalocean import catalogue
from clawdeploy_emulators.digitalocean.context import InSettings, moment
from clawdeploy_emulators.digitalocean.droplets import (
    KIND,
    destroy,
    known_droplet,
    published_droplet,
    rent,
    visible_droplets,
)
from clawdeploy_emulators.digitalocean.errors import unprocessable
from clawdeploy_emulators.digitalocean.key_routes import find_key
from clawdeploy_emulators.digitalocean.listing import Asked
from clawdeploy_emulators.digitalocean.settings import DigitalOceanSettings
from clawdeploy_emulators.digitalocean.tags import Tag, ensure_tag, has_tag

router = APIRouter(prefix="/droplets")
Json = dict[str, Any]
USER_DATA_BYTES = 64 * 1024
VPC = "760e09ef-dc84-11e8-981e-3cfdfeaae000"


def _fits(user_data: str) -> str:
    if len(user_data.encode()) > USER_DATA_BYTES:
        raise ValueError("is too long (maximum is 65536 bytes)")
    return user_data


class NewDroplet(BaseModel):
    """One Droplet to create, or up to ten alike."""

    name: str | None = Field(default=None, pattern=r"^[a-zA-Z0-9]?[a-z0-9A-Z.\-]*[a-z0-9A-Z]$", max_length=255)
    names: list[str] = Field(default=[], max_length=10)
    size: str
    image: str | int
    region: str = "nyc3"
    ssh_keys: list[str | int] | None = []
    backups: bool = False
    ipv6: bool = False
    monitoring: bool = False
    tags: list[Tag] | None = []
    user_data: Annotated[str, AfterValidator(_fits)] | None = None
    vpc_uuid: str | None = None


@router.post("", status_code=status.HTTP_202_ACCEPTED)
async def create_droplets(new: NewDroplet, request: Request, work: InWork, settings: InSettings) -> Json:
    """Order Droplets. They are in the books from now on, whatever becomes of their actions; addresses come later."""
    names = new.names or ([new.name] if new.name else [])
    if bool(new.names) == bool(new.name):
        raise unprocessable("name or names is needed, and only one of them")
    _check(new, work, count=len(names), settings=settings)
    droplets = [_create(name, new, work) for name in names]
    actions = [work.begin("create", of=(KIND, droplet["id"]), region=droplet["region"]) for droplet in droplets]
    links = [
        {"id": action.id, "rel": "create", "href": str(request.url_for("get_action", action_id=action.id))}
        for action in actions
    ]
    published = [published_droplet(droplet, work) for droplet in droplets]
    body: Json = {"droplet": published[0]} if new.name else {"droplets": published}
    return {**body, "links": {"actions": links}}


@router.get("")
async def list_droplets(
    asked: Asked,
    work: InWork,
    settings: InSettings,
    tag_name: Annotated[str | None, Query()] = None,
    name: Annotated[str | None, Query()] = None,
) -> Json:
    """The Droplets of the account, or those with a tag, or those with a name."""
    if tag_name is not None and name is not None:
        raise unprocessable("tag_name and name exclude each other")
    wanted = [
        droplet
        for droplet in visible_droplets(work, after_seconds=settings.visibility_seconds)
        if (tag_name is None or has_tag(droplet, tag_name)) and name in {None, droplet["name"]}
    ]
    return asked.answer("droplets", [published_droplet(droplet, work) for droplet in work.seen(wanted)])


@router.delete("", status_code=status.HTTP_204_NO_CONTENT)
async def destroy_droplets(tag_name: Annotated[str, Query(min_length=1)], work: InWork) -> None:
    """Destroy every Droplet with a tag."""
    for droplet in work.documents.all(KIND):
        if has_tag(droplet, tag_name):
            destroy(work, droplet)


@router.get("/{droplet_id}")
async def get_droplet(droplet_id: int, work: InWork) -> Json:
    """One Droplet."""
    return {"droplet": published_droplet(known_droplet(work, droplet_id), work)}


@router.delete("/{droplet_id}", status_code=status.HTTP_204_NO_CONTENT)
async def destroy_droplet(droplet_id: int, work: InWork) -> None:
    """Destroy a Droplet; it is there, and billed, for some moments more."""
    destroy(work, known_droplet(work, droplet_id))


def _check(new: NewDroplet, work: Work, *, count: int, settings: DigitalOceanSettings) -> None:
    if catalogue.size_of(new.size) is None:
        raise unprocessable("You specified an invalid size for Droplet creation.")
    if new.region not in catalogue.REGIONS:
        raise unprocessable("You specified an invalid region for Droplet creation.")
    if catalogue.image_of(new.image) is None:
        raise unprocessable("You specified an invalid image for Droplet creation.")
    if work.sold_out(plan=new.size, place=new.region):
        raise unprocessable("Size is not available in this region.")
    if any(find_key(work, key) is None for key in new.ssh_keys or []):
        raise unprocessable("You specified an invalid SSH key for Droplet creation.")
    if len(work.documents.all(KIND)) + count > settings.server_limit:
        raise unprocessable("creating this/these droplet(s) will exceed your droplet limit")


def _create(name: str, new: NewDroplet, work: Work) -> Document:
    features = {"backups": new.backups, "ipv6": new.ipv6, "monitoring": new.monitoring}
    image = catalogue.image_of(new.image)
    droplet: Document = {
        "id": work.documents.next_id(),
        "name": name,
        "size": new.size,
        "region": new.region,
        "image": image.id if image else None,
        "status": "new",
        "created_at": moment(work.now),
        "features": [feature for feature, wanted in features.items() if wanted] + ["droplet_agent"],
        "tags": [ensure_tag(work, tag) for tag in new.tags or []],
        "user_data": new.user_data,
        "keys": [key["id"] for each in new.ssh_keys or [] if (key := find_key(work, each)) is not None],
        "vpc_uuid": new.vpc_uuid or VPC,
        "ipv4": None,
        "booted": False,
    }
    work.documents.add(KIND, droplet)
    rent(work, droplet)
    return droplet
