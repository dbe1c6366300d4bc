"""Where a new agent may run at this moment: providers in order of preference; pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from clawdeploy_api.catalogue import CLOUDS, PROVIDERS, Provider
from clawdeploy_api.engines import Known
from clawdeploy_api.settings import ApiSettings
from clawdeploy_common.errors import InvalidInput

_OWN = "own"
_CONNECT = {
    name: f"is not connected here: set {variables} and CLAWDEPLOY_PUBLIC_URL (docs/cloud-accounts.md), "
    f"or try it without an account with CLAWDEPLOY_EMULATED_CLOUDS={name}, and start the platform again"
    for name, variables in CLOUDS.items()
} | {_OWN: "has no machine yet: an operator registers one with claw servers add (docs/own-servers.md)"}


@dataclass(frozen=True, kw_only=True)
class Places:
    """The providers that are offered; the first is for those who name none."""

    offered: tuple[Provider, ...]

    def choose(self, name: str | None) -> Provider:
        """By id, the first without one; raises InvalidInput."""
        found = next((p for p in self.offered if name in {None, p.id}), None)
        if found is None:
            reason = _CONNECT.get(name or "", "is not switched on here")
            raise InvalidInput("provider", reason, allowed=[p.id for p in self.offered])
        return found


def places_of(settings: ApiSettings, known: Known) -> Places:
    """What the settings name, in that order.

    Where they name nothing: Docker first once an engine answers and has OpenClaw's image, so that nobody waits for a download; Docker
    last while it lacks the image; no Docker without an engine. Cloud accounts that are connected come after what is local, then the
    operator's own machines while there are any.
    """
    hosts = tuple(host.partition("=")[0] for host in settings.docker_hosts)
    emulated = settings.emulated_clouds
    regions = {"docker": hosts, _OWN: known.own_regions}
    by_id = {p.id: replace(p, regions=regions.get(p.id, p.regions), emulated=p.id in emulated) for p in PROVIDERS}
    own = [_OWN] if known.own_regions else []
    names = dict.fromkeys([*_names(settings, known), *settings.clouds, *own])
    return Places(offered=tuple(by_id[name] for name in names if name in by_id))


def _names(settings: ApiSettings, known: Known) -> Sequence[str]:
    if "providers" in settings.model_fields_set:
        return settings.providers
    if not known.docker:
        return [name for name in settings.providers if name != "docker"]
    return settings.providers if known.docker_ready else [*reversed(settings.providers)]
