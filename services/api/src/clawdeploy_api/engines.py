"""Which engines the provisioner has at hand, for the public health route."""

import time

from clawdeploy_api.forwarding import Forwarder, Target
from clawdeploy_common.errors import ClawDeployError

CACHE_S = 5.0
TIMEOUT_S = 1.0


class Engines:
    """Asks the provisioner, at most every five seconds."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._docker = False
        self._until = 0.0

    async def docker(self) -> bool:
        """Whether a Docker engine is connected."""
        if time.monotonic() > self._until:
            target = Target(service="provisioner", path="/internal/engines", account_id=None, timeout_s=TIMEOUT_S)
            try:
                self._docker = bool((await self._forwarder.get(target)).get("docker"))
            except ClawDeployError:
                self._docker = False
            self._until = time.monotonic() + CACHE_S
        return self._docker
