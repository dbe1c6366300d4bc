"""Tags: made on the fly, kept as first written, compared without regard to case."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator

from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.work import Work

KIND, DROPLET = "tag", "droplet"
PATTERN = re.compile(r"[a-zA-Z0-9_\-:]{1,255}")


def _valid(tag: str) -> str:
    if not PATTERN.fullmatch(tag):
        raise ValueError("a tag is 1 to 255 letters, digits, colons, dashes and underscores")
    return tag


Tag = Annotated[str, AfterValidator(_valid)]


def ensure_tag(work: Work, name: str) -> str:
    """The tag as it was first written; made when it is new."""
    known = work.documents.find(KIND, name.lower())
    if known is None:
        work.documents.add(KIND, {"id": name.lower(), "name": name})
        return name
    first: str = known["name"]
    return first


def has_tag(droplet: Document, name: str) -> bool:
    """Whether a Droplet carries a tag."""
    return name.lower() in {tag.lower() for tag in droplet["tags"]}


def published_tag(tag: Document, work: Work) -> dict[str, Any]:
    """A tag as the API gives it, with the number of what carries it."""
    carrying = [droplet for droplet in work.documents.all(DROPLET) if has_tag(droplet, tag["name"])]
    last = {"last_tagged_uri": f"https://api.digitalocean.com/v2/droplets/{carrying[-1]['id']}"} if carrying else {}
    nothing = {kind: {"count": 0} for kind in ("volumes", "volume_snapshots", "databases")}
    counted = {"count": len(carrying), **last}
    return {"name": tag["name"], "resources": {**counted, "droplets": counted, **nothing}}
