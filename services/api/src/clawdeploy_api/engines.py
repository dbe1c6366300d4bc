"""Which engines the provisioner has at hand, for the public health route."""

from dataclasses import dataclass

from clawdeploy_api.forwarding import Forwarder, Target
from clawdeploy_common.errors import ClawDeployError
from clawdeploy_common.remembered import Remembered

CACHE_S = 5.0
TIMEOUT_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Known:
    """Whether a Docker engine is connected, whether an agent could be made on it at once, and the labels of the operator's machines."""

    docker: bool = False
    docker_ready: bool = False
    own_regions: tuple[str, ...] = ()


class Engines:
    """Asks the provisioner, at most every five seconds."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._remembered = Remembered(self._ask, seconds=CACHE_S)

    async def known(self) -> Known:
        """What the provisioner says; while it is away, that there is nothing."""
        return await self._remembered.get()

    def forget(self) -> None:
        """A machine of the operator's came or went."""
        self._remembered.forget()

    async def _ask(self) -> Known:
        target = Target(service="provisioner", path="/internal/engines", account_id=None, timeout_s=TIMEOUT_S)
        try:
            answer = await self._forwarder.get(target)
        except ClawDeployError:
            return Known()
        regions: list[str] = answer.get("own_regions") or []
        return Known(
            docker=bool(answer.get("docker")),
            docker_ready=bool(answer.get("docker_ready")),
            own_regions=tuple(regions),
        )
