"""The monitor's schema, routes and retention."""

from datetime import timedelta
from uuid import uuid4

import httpx
from tests.integration.monitor.agent import Agent
from tests.integration.monitor.monitoring import Monitoring, Watched

from clawdeploy_common.migrating import differences
from clawdeploy_common.tokens import InternalTokens
from clawdeploy_monitor.models import metadata
from clawdeploy_monitor.retention import Retention


async def test_migrations_and_models_agree(monitoring: Monitoring) -> None:
    assert (
        await differences(monitoring.settings.database_url.get_secret_value(), schema="monitor", metadata=metadata)
        == []
    )


def test_every_table_says_whether_it_is_owned_or_a_projection() -> None:
    """INVARIANT: every table is declared owned or projection."""
    assert {table.info.get("kind") for table in metadata.tables.values()} == {"owned"}


async def _observations(monitoring: Monitoring, token: str | None) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(monitoring.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://monitor") as client:
        return await client.get("/internal/observations", headers=headers)


async def test_an_account_sees_its_own_observations_only(monitoring: Monitoring, agent: Agent) -> None:
    """INVARIANT: a tenant is a wall."""
    mine, foreign = Watched(), Watched()
    await monitoring.receive(mine.started(agent.url), foreign.started(agent.url))
    await monitoring.probe()
    tokens = InternalTokens(monitoring.settings.internal_secret, service="api")
    answer = await _observations(monitoring, tokens.issue("monitor", account_id=mine.account_id))
    (item,) = answer.json()["items"]
    assert item["instance_id"] == str(mine.instance_id)
    assert (item["process"], item["channel"], item["lifecycle_version"]) == ("healthy", "ready", 1)
    nobody = await _observations(monitoring, tokens.issue("monitor", account_id=uuid4()))
    assert nobody.json() == {"items": []}


async def test_observations_need_a_token_for_the_monitor(monitoring: Monitoring) -> None:
    tokens = InternalTokens(monitoring.settings.internal_secret, service="api")
    for token in (None, "nonsense", tokens.issue("billing", account_id=uuid4())):
        answer = await _observations(monitoring, token)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    accountless = await _observations(monitoring, tokens.issue("monitor"))
    assert accountless.json() == {"items": []}


async def test_the_probe_carries_a_token_of_the_instances_account(monitoring: Monitoring, agent: Agent) -> None:
    watched = Watched()
    await monitoring.receive(watched.started(agent.url))
    await monitoring.probe()
    ((instance_id, authorization),) = monitoring.provisioner.asked
    tokens = InternalTokens(monitoring.settings.internal_secret, service="provisioner")
    caller = tokens.verify(authorization.removeprefix("Bearer "))
    assert (instance_id, caller.issuer, caller.account_id) == (str(watched.instance_id), "monitor", watched.account_id)


async def test_old_observations_are_deleted_and_new_ones_kept(monitoring: Monitoring, agent: Agent) -> None:
    await monitoring.receive(Watched().started(agent.url))
    await monitoring.probe(2)
    oldest = (
        "UPDATE observations SET observed_at = now() - interval '3 days' WHERE id = (SELECT min(id) FROM observations)"
    )
    await monitoring.execute(oldest)
    assert await Retention(monitoring.service.database, kept=timedelta(days=2)).delete_batch() == 1
    assert len(await monitoring.rows("SELECT 1 FROM observations")) == 1
