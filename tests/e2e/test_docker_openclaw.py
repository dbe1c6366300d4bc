"""The real OpenClaw in a container: it answers, keeps its history over a stop, and its model is reached through the relay."""

import tempfile
from pathlib import Path

import pytest

from clawdeploy_provisioner.providers.protocol import ServerState
from tests.e2e.docker_cells import cells_of
from tests.e2e.openclaw import model_stand_in
from tests.engines.docker_engine import OPENCLAW_IMAGE

pytestmark = pytest.mark.long


async def test_an_agent_in_a_container_answers_keeps_its_history_and_leaves_nothing(docker_with_openclaw: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with (
            model_stand_in(folder) as model,
            cells_of(
                docker_with_openclaw,
                folder / "docker",
                image=OPENCLAW_IMAGE,
                llm_base_url=model.llm_base_url,
                key=model.key,
            ) as cells,
        ):
            cell = await cells.deployed(cpu_millis=2000)
            server = await cell.started()
            assert server.memory_bytes is not None
            assert 300_000_000 < server.memory_bytes < 1_500_000_000
            assert "You wrote: “What is 6 * 7?”" in await cell.ask("What is 6 * 7?")
            assert (await cell.rpc("health"))["ok"]
            assert any("gateway" in line for line in await cells.provider.logs(cell.id, tail=50))

            assert (await cells.provider.stop(cell.id, drain=False)).state is ServerState.OFF
            await cell.started()
            assert "I have seen 2 messages from you" in await cell.ask("And 2 + 2?")

            await cells.provider.destroy(cell.id)
            assert await cells.left(cell.id) == []
