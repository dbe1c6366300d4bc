"""INVARIANT: kill -9 between any two changes at a Docker engine leaves one server or none, never a half one (laws 6 and 7)."""

import asyncio
import subprocess

import pytest

from clawdeploy_common.clock import utc_now
from clawdeploy_common.ids import new_id
from clawdeploy_events.deployments import InstanceDestroyRequested
from clawdeploy_provisioner.providers.protocol import ServerState
from tests.chaos.conftest import Platform
from tests.chaos.docker_provisioner import docker_settings
from tests.chaos.test_provisioner_kills import BEGUN, DEPLOYED, DONE, told

pytestmark = pytest.mark.long

MAKING = [
    *(f"after {part}" for part in ("ensure_anchor", "_create", "ensure_server", "configure", "write")),
    *("before start", "after start"),
]
ENDING = ["before destroy", "before _remove_volume", "after _remove_volume", "after destroy"]
PATIENT = {
    "CLAWDEPLOY_OPERATION_LEASE_SECONDS": "4",
    "CLAWDEPLOY_PROVIDER_CALL_SECONDS": "12",
    "CLAWDEPLOY_CHECK_SECONDS": "60",
}


@pytest.fixture
def engine(platform: Platform, docker_url: str) -> "Engine":
    return Engine(platform, docker_url)


class Engine:
    """What of this platform is at the engine."""

    def __init__(self, platform: Platform, url: str) -> None:
        self.url = url
        self._settings = docker_settings(platform.folder, url)

    def things(self) -> list[str]:
        """Containers, networks and volumes that carry the platform's label."""
        label = f"label=clawdeploy.home={self._settings.platform}"
        kinds = (["ps", "-aq"], ["network", "ls", "-q"], ["volume", "ls", "-q"])
        return [line for kind in kinds for line in self._docker(*kind, "--filter", label).split()]

    def containers(self) -> list[str]:
        """States of the platform's cells."""
        label = f"label=clawdeploy.home={self._settings.platform}"
        return self._docker("ps", "-a", "--filter", label, "--format", "{{.State}}").split()

    def _docker(self, *command: str) -> str:
        argv = ["docker", "-H", self.url, *command]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


async def test_deploy_and_destroy_that_die_at_every_change_leave_nothing(platform: Platform, engine: Engine) -> None:
    moments = [*MAKING, *ENDING]
    environment = {**PATIENT, "LIGHT_DOCKER": engine.url, "LIGHT_DEATHS": "|".join(moments)}
    provisioner = platform.program("tests.chaos.docker_provisioner", "one", **environment)
    instance_id, account_id, operation_id = await platform.deploy(provider="docker", memory_mb=256)
    assert await platform.ended(operation_id, seconds=280) == "succeeded"
    assert platform.died_at == set(MAKING)
    assert await told(platform, instance_id) == DEPLOYED
    assert engine.containers() == [ServerState.RUNNING]

    destroy = InstanceDestroyRequested(operation_id=new_id(), requested_at=utc_now())
    await platform.send(destroy, key=instance_id, account_id=account_id)
    assert await platform.ended(destroy.operation_id, seconds=200) == "succeeded"
    assert platform.died_at == set(moments)
    assert provisioner.deaths == len(moments)
    async with asyncio.timeout(60):
        while await asyncio.to_thread(engine.things):
            await asyncio.sleep(0.2)
    ended = (await told(platform, instance_id))[len(DEPLOYED) :]
    assert (ended[0], ended[-1], ended.count("server.destroyed.v1")) == (BEGUN, DONE, 1)
