"""What kind of program an image holds: its port, how it says that it has started, and what it is allowed."""

from collections.abc import Mapping
from dataclasses import dataclass

PROFILE_LABEL = "clawdeploy.profile"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Facts of one kind of image; ``memory_mb`` and ``cpu_millis`` replace the plan's when they are given.

    ``user`` is forced on the container; None leaves the image's own, which then keeps the capabilities to change to another user.
    """

    name: str
    port: int
    is_openclaw: bool
    user: str | None
    capabilities: tuple[str, ...] = ()
    memory_mb: int | None = None
    cpu_millis: int | None = None


OPENCLAW = Profile(name="openclaw", port=18_789, is_openclaw=True, user="1000:1000")
LIGHT = Profile(
    name="light",
    port=80,
    is_openclaw=False,
    user=None,
    capabilities=("CHOWN", "NET_BIND_SERVICE", "SETGID", "SETUID"),
    memory_mb=256,
    cpu_millis=500,
)
PROFILES = {profile.name: profile for profile in (OPENCLAW, LIGHT)}


def profile_of(image: str, labels: Mapping[str, str]) -> Profile:
    """What the image's label ``clawdeploy.profile`` says; without one an image called nginx is a light one, any other OpenClaw's."""
    named = PROFILES.get(labels.get(PROFILE_LABEL, ""))
    if named is not None:
        return named
    repository = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return LIGHT if repository == "nginx" else OPENCLAW
