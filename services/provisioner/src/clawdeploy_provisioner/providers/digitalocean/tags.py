"""Tags, and names where there are no tags, say whose a thing is; pure.

Tags are DigitalOcean's labels: letters, digits, colons, dashes and underscores, compared without regard to case.
A tag is a thing of the account that outlives what carries it, so all tags of a Droplet but the platform's are its own, and go with it.
"""

import hashlib
import string
from collections.abc import Iterable
from uuid import UUID

from clawdeploy_provisioner.providers.protocol import ServerSpec

_PLAIN = frozenset(string.ascii_lowercase + string.digits + "-_")
_SERVER, _OF = "clawdeploy:server:", "clawdeploy:of:"


def platform_tag(platform: str) -> str:
    """The one that every Droplet of a platform carries; other characters are written as their code, so that no two platforms share it."""
    return "clawdeploy:platform:" + "".join(char if char in _PLAIN else f":{ord(char):02x}" for char in platform)


def server_tag(server_id: UUID) -> str:
    """By which a Droplet is found."""
    return f"{_SERVER}{server_id}"


def tags_of(spec: ServerSpec, *, platform: str) -> list[str]:
    """Every tag of a new Droplet."""
    owner = f"{_OF}{spec.server_id}"
    return [
        platform_tag(platform),
        server_tag(spec.server_id),
        f"{owner}:instance:{spec.instance_id}",
        f"{owner}:operation:{spec.operation_id}",
        f"{owner}:account:{spec.account_id}",
    ]


def server_of(tags: Iterable[str]) -> UUID | None:
    """Our id of a Droplet; None for one that is not ours."""
    return next((UUID(tag.removeprefix(_SERVER)) for tag in tags if tag.startswith(_SERVER)), None)


def instance_of(tags: Iterable[str]) -> UUID | None:
    """The instance a Droplet belongs to."""
    named = (tag.partition(":instance:")[2] for tag in tags if tag.startswith(_OF))
    return next((UUID(found) for found in named if found), None)


def owner_tags(tags: Iterable[str]) -> list[str]:
    """Those that say whose a Droplet is, beside its server tag."""
    return [tag for tag in tags if tag.startswith(_OF)]


def belonging_name(server_id: UUID, *, platform: str) -> str:
    """The name of a server's key and firewall."""
    return f"{_prefix(platform)}{server_id}"


def owner_in(name: str, *, platform: str) -> UUID | None:
    """The server that a key or firewall belongs to; None for what is not this platform's."""
    try:
        return UUID(name.removeprefix(_prefix(platform))) if name.startswith(_prefix(platform)) else None
    except ValueError:
        return None


def _prefix(platform: str) -> str:
    return f"clawdeploy-{hashlib.sha256(platform.encode()).hexdigest()[:12]}-"
