"""The light provider as a cloud account is: its servers can be wiped in place."""

import asyncio
import shutil
from uuid import UUID

from clawdeploy_provisioner.providers.protocol import Belonging, LastBill, Progress, ServerSpec
from tests.light.provider import LightProvider


class RentedLight(LightProvider):
    """What an account keeps besides servers, it does not."""

    async def rebuild(self, spec: ServerSpec, progress: Progress) -> None:
        """Forget what the agent had."""
        await self._hook("before rebuild")
        await self.stop(spec.server_id, drain=False)
        await asyncio.to_thread(shutil.rmtree, self.folder_of(spec.server_id) / "state", ignore_errors=True)
        await progress("Wiped")

    async def reboot(self, server_id: UUID) -> None:
        """Nothing is lost by it."""
        await self.start(server_id)

    async def holds(self, provider_ref: str) -> bool:
        """Look for the folder."""
        return (self.folder_of(UUID(provider_ref)) / "server.json").exists()

    async def last_bill(self, server_id: UUID) -> LastBill:
        """The time it was there."""
        return LastBill()

    async def belongings(self) -> list[Belonging]:
        """None."""
        return []

    async def give_back(self, belonging: Belonging) -> None:
        """There is nothing to give back."""
