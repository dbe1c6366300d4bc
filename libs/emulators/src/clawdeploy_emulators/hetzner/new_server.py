"""The body of POST /servers, and what of it is refused."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.refusals import Refusal
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.hetzner import catalogue
from clawdeploy_emulators.hetzner.catalogue import Image, ServerType
from clawdeploy_emulators.hetzner.errors import invalid_input, limit_exceeded, not_unique
from clawdeploy_emulators.hetzner.labels import ValidLabels

HOSTNAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9](?:[-A-Za-z0-9]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9-]{1,63})*")
USER_DATA_BYTES = 32 * 1024
FIREWALLS_PER_SERVER = 5


def _hostname(name: str) -> str:
    if not HOSTNAME.fullmatch(name):
        raise ValueError("must be a valid hostname")
    return name


def _fits(user_data: str) -> str:
    if len(user_data.encode()) > USER_DATA_BYTES:
        raise ValueError("is too long")
    return user_data


Hostname = Annotated[str, AfterValidator(_hostname)]
UserData = Annotated[str, AfterValidator(_fits)]


class FirewallOfServer(BaseModel):
    """A firewall to guard the new server."""

    firewall: int


class PublicNet(BaseModel):
    """The addresses a server is to have."""

    enable_ipv4: bool = True
    enable_ipv6: bool = True


class NewServer(BaseModel):
    """A server to create. What this stand-in does not make (volumes, networks, placement groups) must not be asked for."""

    model_config = ConfigDict(extra="ignore")

    name: Hostname
    server_type: str | int
    image: str | int
    location: str | int | None = None
    start_after_create: bool = True
    ssh_keys: list[str | int] = []
    firewalls: list[FirewallOfServer] = Field(default=[], max_length=FIREWALLS_PER_SERVER)
    user_data: UserData | None = None
    labels: ValidLabels = {}
    public_net: PublicNet = PublicNet()
    automount: bool = False
    datacenter: None = None
    placement_group: None = None
    volumes: list[int] = Field(default=[], max_length=0)
    networks: list[int] = Field(default=[], max_length=0)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a new server's names stand for."""

    item: ServerType
    image: Image
    place: str
    key_ids: list[int]


def choose(new: NewServer, work: Work, *, server_limit: int) -> Choice:
    """Look everything up that a new server names. Raises the refusal for the first thing that is not right."""
    servers = work.documents.all("server")
    if any(server["name"] == new.name for server in servers):
        raise not_unique("server", "name")
    if len(servers) >= server_limit:
        raise limit_exceeded("server_limit")
    item = catalogue.server_type(new.server_type)
    if item is None:
        raise invalid_input("server_type", "server type not found")
    image = catalogue.image(new.image, architecture=item.architecture)
    if image is None or image.architecture != item.architecture:
        raise invalid_input("image", f"image not found for architecture {item.architecture}")
    _check_firewalls(new, work)
    return Choice(item=item, image=image, place=_place(new, item, work), key_ids=_keys(new, work))


def _place(new: NewServer, item: ServerType, work: Work) -> str:
    asked = new.location or item.places[0]
    place = next(
        (each["name"] for each in catalogue.LOCATIONS if asked in {each["name"], str(each["id"]), each["id"]}), None
    )
    if place is None:
        raise invalid_input("location", "location not found")
    if place not in item.places:
        raise Refusal(422, "invalid_input", "unsupported location for server type")
    if work.sold_out(plan=item.name, place=place):
        raise Refusal(412, "resource_unavailable", "the requested server type is currently unavailable here")
    return place


def _keys(new: NewServer, work: Work) -> list[int]:
    keys = work.documents.all("ssh_key")
    return [_key(wanted, keys) for wanted in new.ssh_keys]


def _key(wanted: str | int, keys: list[Document]) -> int:
    for key in keys:
        if str(wanted) in {str(key["id"]), key["name"]}:
            number: int = key["id"]
            return number
    raise invalid_input("ssh_keys", f"SSH key '{wanted}' not found")


def _check_firewalls(new: NewServer, work: Work) -> None:
    for wanted in new.firewalls:
        if work.documents.find("firewall", wanted.firewall) is None:
            raise invalid_input("firewalls", f"firewall '{wanted.firewall}' not found")
