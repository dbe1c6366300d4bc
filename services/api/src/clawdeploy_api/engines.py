"""Which engines the provisioner has at hand, for the public health route."""

import time
from dataclasses import dataclass

from clawdeploy_api.forwarding import Forwarder, Target
from clawdeploy_common.errors import ClawDeployError

CACHE_S = 5.0
TIMEOUT_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Known:
    """Whether a Docker engine is connected, and whether an agent could be made on it at once."""

    docker: bool = False
    docker_ready: bool = False


class Engines:
    """Asks the provisioner, at most every five seconds."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._known = Known()
        self._until = 0.0

    async def known(self) -> Known:
        """What the provisioner says; while it is away, that there is nothing."""
        if time.monotonic() > self._until:
            target = Target(service="provisioner", path="/internal/engines", account_id=None, timeout_s=TIMEOUT_S)
            try:
                answer = await self._forwarder.get(target)
                self._known = Known(docker=bool(answer.get("docker")), docker_ready=bool(answer.get("docker_ready")))
            except ClawDeployError:
                self._known = Known()
            self._until = time.monotonic() + CACHE_S
        return self._known
