"""``python -m clawdeploy_provisioner.providers.docker.leave park|remove``: what becomes of this platform's containers when it goes.

``park`` stops them, and the next provisioner's supervision starts them again; ``remove`` destroys them with all they hold. The
supervisor runs it when no provisioner is left. Where they are comes from the variables the provisioner itself is configured by.
"""

import asyncio
import os
import sys
from pathlib import Path

import structlog

from clawdeploy_common import http as httpx
from clawdeploy_provisioner.providers.docker.provider import DockerProvider
from clawdeploy_provisioner.providers.docker.settings import LOCAL_HOST, DockerHost, DockerSettings
from clawdeploy_provisioner.providers.protocol import ProviderError

log = structlog.get_logger()


async def leave(settings: DockerSettings, *, remove: bool) -> bool:
    """Whether everything was done; an engine that does not answer leaves something to do."""
    async with httpx.AsyncClient() as http:
        provider = DockerProvider(settings, http=http)
        try:
            listing = await provider.list_servers()
            if remove:
                await asyncio.gather(*(provider.destroy(server.server_id) for server in listing.servers))
            else:
                await provider.park()
        except ProviderError as error:
            log.warning("containers.left", error=str(error))
            return False
        finally:
            await provider.close()
    log.info("containers.removed" if remove else "containers.parked", count=len(listing.servers))
    return listing.complete


def main() -> int:
    """Park or remove them; 1 when something is left."""
    verb = sys.argv[1]
    if verb not in {"park", "remove"}:
        raise SystemExit("say park or remove")
    return 0 if asyncio.run(leave(_settings(), remove=verb == "remove")) else 1


def _settings() -> DockerSettings:
    home = Path(os.environ["CLAWDEPLOY_INSTANCES_DIR"]).absolute() / "docker"
    hosts = os.environ.get("CLAWDEPLOY_DOCKER_HOSTS", LOCAL_HOST).split(",")
    return DockerSettings(hosts=tuple(map(DockerHost.parse, hosts)), home=home)


if __name__ == "__main__":
    raise SystemExit(main())
