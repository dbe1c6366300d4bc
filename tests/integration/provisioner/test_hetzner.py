"""The ``hetzner`` provider on a stand-in of Hetzner Cloud whose hollow servers play the on-server agent's part."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from tests.engines.databases import Database
from tests.integration.provisioner.clouds import BEARER, TOKEN, Cloud, Kind, connected

from clawdeploy_api.public.server import RecordedServer
from clawdeploy_common.cursors import Page
from clawdeploy_emulators.hetzner import HetznerSettings, create_hetzner
from clawdeploy_events.deployments import ConfigPublished


def _create(**facts: Any) -> FastAPI:
    return create_hetzner(HetznerSettings(**facts))


HETZNER = Kind(
    name="hetzner",
    create=_create,
    base_path="/v1",
    holds=[("/servers", "servers"), ("/ssh_keys", "ssh_keys"), ("/firewalls", "firewalls")],
    plan={"provider": "hetzner", "region": "nbg1", "cpu_millis": 1000},
    told={"HETZNER_API_TOKEN": TOKEN},
)

CHANGE = {"version": 2, "content_hash": "0" * 64, "model": "openai/gpt-5.2", "channel": "telegram"}


@pytest.fixture
async def cloud(database: Database, tmp_path: Path) -> AsyncGenerator[Cloud]:
    async with connected(HETZNER, database, tmp_path) as running:
        yield running


async def test_a_deployment_runs_by_its_agents_word_and_leaves_the_account_as_it_was(cloud: Cloud) -> None:
    """INVARIANT: after a destroy nothing of it is left at the provider: no server, no key, no firewall."""
    instance = await cloud.deployed()
    server_id = await cloud.platform.server_id(instance)
    assert await cloud.everything() == [f"clawdeploy-{server_id}"] * 3
    (started,) = [data for name, data in await cloud.platform.events(instance.id) if name == "instance.started.v1"]
    assert started["probe_url"] is None
    change = await cloud.platform.ask(instance, ConfigPublished, **CHANGE)
    await cloud.platform.done(change)
    assert await cloud.platform.steps(change) == {"write_configuration": "done"}
    seen = await cloud.asks("/internal/operator/providers/hetzner")
    assert [each["name"] for each in seen["servers"]] == [f"clawdeploy-{server_id}"]
    assert {"nbg1", "fsn1"} <= {each["id"] for each in seen["regions"]}
    assert "ubuntu-24.04" in {each["id"] for each in seen["images"]}
    recorded = Page[RecordedServer].model_validate(await cloud.asks("/internal/operator/servers"))
    assert [(each.id, each.instance_id) for each in recorded.items] == [(server_id, instance.id)]
    await cloud.destroyed(instance)
    assert await cloud.everything() == []
    assert await cloud.platform.rows("SELECT 1 FROM agent_configurations") == []


async def test_a_create_whose_answer_is_lost_makes_one_server(cloud: Cloud) -> None:
    """INVARIANT: an ambiguous outcome is resolved by looking up the label, never by blindly repeating."""
    await cloud.fault(kind="timeout_after", method="POST", path_prefix="/v1/servers", seconds=0.2)
    instance = await cloud.deployed()
    assert len(await cloud.servers()) == 1
    await cloud.destroyed(instance)
    assert await cloud.everything() == []


async def test_a_redeployment_in_place_wipes_the_server_and_keeps_it(cloud: Cloud) -> None:
    """INVARIANT: after it the same server, on an empty disk, is worked on by a new agent; what the old one knew opens nothing."""
    instance = await cloud.deployed()
    server_id = await cloud.platform.server_id(instance)
    before = await cloud.agent(server_id)
    await cloud.redeployed_in_place(instance)
    after = await cloud.agent(server_id)
    assert await cloud.platform.server_id(instance) == server_id
    assert await cloud.everything() == [f"clawdeploy-{server_id}"] * 3
    assert after.registered_at > before.registered_at
    assert after.credential_hash != before.credential_hash
    assert after.configuration_id != before.configuration_id, "it was told to the new agent again"
    tokens = await cloud.tokens(server_id)
    assert len(tokens) == 2, "a new one went into the new user data"
    assert all(token.used_at is not None for token in tokens)
    (server,) = (await cloud.http.get("/v1/servers", headers=BEARER)).json()["servers"]
    actions = (await cloud.http.get(f"/v1/servers/{server['id']}/actions", headers=BEARER)).json()["actions"]
    assert [action["command"] for action in actions].count("rebuild_server") == 1
    await cloud.destroyed(instance)
    assert await cloud.everything() == []


async def test_a_rebuild_whose_answer_is_lost_is_done_again(cloud: Cloud) -> None:
    instance = await cloud.deployed()
    await cloud.fault(kind="timeout_after", method="POST", path_prefix="/v1/servers/", seconds=0.2)
    await cloud.redeployed_in_place(instance)
    assert len(await cloud.servers()) == 1
    await cloud.destroyed(instance)
