"""The provisioner with a light `process` provider that takes its time: `python -m tests.chaos.slow_provisioner`.

LIGHT_FOLDER is where its servers live. Before each slow verb it waits SLOW_SECONDS, so that a test can strike in the middle; what it
wrote of an agent's LLM key lies in a file beside the server, so that a test can spend money with it.
"""

import asyncio
import os
from pathlib import Path
from uuid import UUID

from clawdeploy_common.service import serve
from clawdeploy_provisioner.main import build
from clawdeploy_provisioner.openclaw.config import LLM_KEY_VARIABLE
from clawdeploy_provisioner.providers.protocol import Bundle
from clawdeploy_provisioner.settings import ProvisionerSettings
from tests.light.provider import LightProvider

SLOW = {f"before {verb}" for verb in ("ensure_server", "ensure_installed", "write_configuration", "start")}


class SlowProvider(LightProvider):
    """Stands where the local provider stands."""

    name = "process"

    async def write_configuration(self, server_id: UUID, bundle: Bundle) -> None:
        """Keep the model, and the key for the test."""
        await super().write_configuration(server_id, bundle)
        (self.folder_of(server_id) / "llm_key").write_text(bundle.environment[LLM_KEY_VARIABLE])


async def _wait(moment: str) -> None:
    if moment in SLOW:
        await asyncio.sleep(float(os.environ["SLOW_SECONDS"]))


def main() -> None:
    """Serve until told to stop."""
    provider = SlowProvider(Path(os.environ["LIGHT_FOLDER"]) / "servers", hook=_wait)
    settings = ProvisionerSettings()  # pyright: ignore[reportCallIssue] - read from the environment
    serve(*build(settings, providers={"process": provider}))


if __name__ == "__main__":
    main()
