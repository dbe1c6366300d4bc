"""``python -m clawdeploy_provisioner.providers.process.park``: stop every local agent because the platform goes down.

The supervisor runs it when no provisioner is left; the next provisioner's supervision brings the agents back. The directories come
from the variables the provisioner itself is configured by.
"""

import asyncio
import os
from pathlib import Path

import structlog

from clawdeploy_common import http as httpx
from clawdeploy_provisioner.providers.process.provider import ProcessProvider
from clawdeploy_provisioner.providers.process.settings import ProcessSettings

log = structlog.get_logger()


async def park() -> int:
    """Answers how many agents ran."""
    settings = ProcessSettings.located(
        instances_dir=Path(os.environ["CLAWDEPLOY_INSTANCES_DIR"]), tools_dir=Path(os.environ["CLAWDEPLOY_TOOLS_DIR"])
    )
    async with httpx.AsyncClient() as http:
        return await ProcessProvider(settings, http=http).park()


def main() -> None:
    """Park them all and say how many there were."""
    log.info("servers.parked", count=asyncio.run(park()))


if __name__ == "__main__":
    main()
