"""What a cell's engine and its gateway say of it now, as the provider's answer."""

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from clawdeploy_common import http as httpx
from clawdeploy_provisioner.openclaw.gateway import GatewayClient, GatewayError
from clawdeploy_provisioner.providers.docker.answer import as_server
from clawdeploy_provisioner.providers.docker.cells import Cells
from clawdeploy_provisioner.providers.docker.engine import Engine
from clawdeploy_provisioner.providers.docker.images import Images
from clawdeploy_provisioner.providers.docker.lifecycle import Lifecycle
from clawdeploy_provisioner.providers.docker.settings import DockerSettings
from clawdeploy_provisioner.providers.docker.sight import Sight
from clawdeploy_provisioner.providers.protocol import Server, ServerState

_HTTP_ERROR = 500


class Seeing:
    """Asks; ``http`` stays the caller's."""

    def __init__(
        self, settings: DockerSettings, cells: Cells, images: Images, lifecycle: Lifecycle, *, http: httpx.AsyncClient
    ) -> None:
        self._settings = settings
        self._cells = cells
        self._images = images
        self._lifecycle = lifecycle
        self._http = http

    async def seen(self, sight: Sight) -> Server:
        """The answer, after asking a gateway that has not been seen ready."""
        container = sight.container
        if container is not None and container.is_up and not sight.is_ready and await self._has_started(sight):
            sight = await self._cells.mark_ready(sight)
        server = await self.server(sight)
        if server.is_openclaw or not server.ready or server.address is None:
            return server
        if await self._answers(server.address.base_url):
            return server
        return replace(server, state=ServerState.ERROR, ready=False, detail="it runs, but nothing answers on its port")

    async def _has_started(self, sight: Sight) -> bool:
        container, record = sight.container, sight.kept.record
        if container is None or not record.start:
            return False
        base_url = f"http://{sight.engine.host.address()}:{container.port}"
        if not container.profile.is_openclaw:
            return await self._answers(base_url)
        if record.identity is None:
            return False
        try:
            return (await GatewayClient(base_url, record.identity, http=self._http).startup()).started
        except GatewayError:
            return False

    async def _answers(self, base_url: str) -> bool:
        try:
            return (await self._http.get(base_url, timeout=3.0)).status_code < _HTTP_ERROR
        except httpx.TransportError:
            return False

    async def server(self, sight: Sight) -> Server:
        container, memory = sight.container, None
        if container is not None and container.is_up:
            memory = await sight.engine.find(lambda api: _memory(api.stats(container.id, stream=False, one_shot=True)))
        return as_server(
            sight,
            self._settings,
            publish=await asyncio.to_thread(sight.engine.host.address),
            restarts=self._lifecycle.restarts.within(container),
            has_image=container is not None or await self._images.find(sight.engine) is not None,
            failure=await self._lifecycle.failure_now(sight),
            memory_bytes=memory,
            disk_free_bytes=await self.disk_free(sight.engine),
        )

    async def disk_free(self, engine: Engine) -> int | None:
        """Free bytes where the engine keeps its things; unknown for an engine of another machine."""
        if not engine.host.is_local:
            return None
        root = await engine.ask(lambda api: str(api.info()["DockerRootDir"]))
        try:
            return (await asyncio.to_thread(shutil.disk_usage, Path(root))).free
        except OSError:
            return None


def _memory(stats: dict[str, Any]) -> int | None:
    """What the container uses without the file cache, as ``docker stats`` counts."""
    usage = stats.get("memory_stats", {})
    if "usage" not in usage:
        return None
    details = usage.get("stats", {})
    return int(usage["usage"]) - int(details.get("total_inactive_file", details.get("inactive_file", 0)))
