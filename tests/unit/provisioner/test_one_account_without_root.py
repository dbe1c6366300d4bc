"""Without root, all agents of this machine would be one user's."""

from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import UUID

import pytest

from clawdeploy_common.http import AsyncClient
from clawdeploy_common.ids import new_id
from clawdeploy_events.deployments import BOOTSTRAP_ACCOUNT
from clawdeploy_provisioner.providers.process.provider import AgentsNotWalledOff, ProcessProvider
from clawdeploy_provisioner.providers.process.settings import ProcessSettings
from clawdeploy_provisioner.providers.protocol import ServerSpec, ServerState


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncGenerator[ProcessProvider]:
    settings = ProcessSettings(
        instances_dir=tmp_path / "instances",
        tools_dir=tmp_path / "tools",
        reservations_dir=tmp_path / "reservations",
        port_first=28_400,
        port_count=2,
        own_uids=False,
    )
    async with AsyncClient() as http:
        yield ProcessProvider(settings, http=http)


def spec(account_id: UUID) -> ServerSpec:
    return ServerSpec(
        server_id=new_id(),
        instance_id=new_id(),
        account_id=account_id,
        operation_id=new_id(),
        slug="agent",
        region="local",
        memory_mb=2048,
        cpu_millis=1000,
    )


async def test_only_the_first_account_may_have_agents_without_root(provider: ProcessProvider) -> None:
    """INVARIANT: agents of two accounts never run as one user."""
    with pytest.raises(AgentsNotWalledOff):
        await provider.ensure_server(spec(new_id()))
    assert (await provider.list_servers()).servers == []


async def test_the_first_account_may(provider: ProcessProvider) -> None:
    wanted = spec(BOOTSTRAP_ACCOUNT)
    assert (await provider.ensure_server(wanted)).state == ServerState.OFF
    await provider.destroy(wanted.server_id)
