"""What the provisioner sealed again takes the place of what the gateway sealed: told by an event, fetched by a job."""

import asyncio
import base64
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI, HTTPException
from httpx import Response
from tests.engines.databases import Database
from tests.integration.api.platform import Platform, Tenant, id_of, settings_for

from clawdeploy_api.resealed_secrets import FETCH_JOB, fetch_job
from clawdeploy_common.http import ASGITransport
from clawdeploy_common.ids import new_id
from clawdeploy_common.jobs import JobRunner
from clawdeploy_common.sealing import fingerprint, generate_key_pair, open_sealed, seal, secret_info
from clawdeploy_common.supervision import end
from clawdeploy_common.tokens import InternalTokens
from clawdeploy_events.lifecycle import SealingKeyAnnounced, SecretResealed

TOKEN = "123456789:planted-bot-token-planted-bot"
JOBS = "SELECT count(*) AS open FROM jobs WHERE finished_at IS NULL"


class Provisioner:
    """The provisioner's side: sealed bytes by place."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.sealed: dict[tuple[UUID, str, int], dict[str, str]] = {}
        self.private, self.public = generate_key_pair()
        self.key_id = new_id()
        self.app.get("/internal/instances/{instance_id}/secrets/{name}/versions/{version}")(self._answer)

    def reseal(self, plaintext: str, *, at: tuple[UUID, str, int]) -> SecretResealed:
        """Seal again; returns what is told of it."""
        info = secret_info(instance_id=at[0], name=at[1], version=at[2])
        sealed = seal(plaintext.encode(), public_key=self.public, info=info)
        written = base64.b64encode(sealed).decode()
        self.sealed[at] = {"sealed": written, "sealing_key_id": str(self.key_id), "sealed_hash": fingerprint(sealed)}
        return SecretResealed(name=at[1], version=at[2], sealed_hash=fingerprint(sealed), sealing_key_id=self.key_id)

    async def _answer(self, instance_id: UUID, name: str, version: int) -> dict[str, str]:
        if (instance_id, name, version) not in self.sealed:
            raise HTTPException(404)
        return self.sealed[instance_id, name, version]


@pytest.fixture
def provisioner() -> Provisioner:
    return Provisioner()


@pytest.fixture
async def platform(database: Database, provisioner: Provisioner) -> AsyncGenerator[Platform]:
    """A gateway that reaches this provisioner."""
    platform = Platform(settings_for(database), transport=ASGITransport(provisioner.app))
    await platform.start()
    yield platform
    await platform.stop()


async def do_jobs(platform: Platform) -> None:
    """Run the gateway's jobs until none is left."""
    handlers = {FETCH_JOB: fetch_job(platform.database, platform.gateway.forwarder)}
    runner = JobRunner(platform.database.owner, handlers, wakeup=platform.database.jobs_added, poll_seconds=0.05)
    running = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(20):
            while (await platform.rows(JOBS))[0].open:
                await asyncio.sleep(0.02)
    finally:
        await end([running])


async def ask(
    platform: Platform, path: str, *, caller: str = "provisioner", account_id: UUID | None = None
) -> Response:
    """What an internal route answers."""
    token = InternalTokens(platform.settings.internal_secret, service=caller).issue("api", account_id=account_id)
    return await platform.client().get(f"/internal/{path}", headers={"Authorization": f"Bearer {token}"})


async def held(platform: Platform, key_id: UUID) -> dict[str, Any]:
    """What the gateway holds sealed to a key."""
    answer = await ask(platform, f"sealing-keys/{key_id}/secrets?after={UUID(int=0)}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_resealed_bytes_replace_the_old_ones(
    platform: Platform, tenant: Tenant, provisioner: Provisioner
) -> None:
    """INVARIANT: a secret sealed again is the same secret, under the new key, and nothing names the old key any more."""
    old = await platform.announce_key()
    instance = await tenant.create(bot_token=TOKEN)
    expected = {
        "instance_id": instance["id"],
        "account_id": str(tenant.id),
        "secrets": [{"name": "bot_token", "version": 1}],
    }
    assert await held(platform, old) == {"newest_key_id": str(old), "items": [expected]}
    await platform.tell(
        SealingKeyAnnounced(public_key=base64.b64encode(provisioner.public).decode()), key=provisioner.key_id
    )
    event = provisioner.reseal(TOKEN, at=(id_of(instance), "bot_token", 1))
    await platform.tell(event, key=id_of(instance), account_id=tenant.id)
    await do_jobs(platform)

    answer = await ask(platform, f"instances/{instance['id']}/secrets/bot_token/versions/1", account_id=tenant.id)
    assert answer.json() == provisioner.sealed[id_of(instance), "bot_token", 1]
    info = secret_info(instance_id=id_of(instance), name="bot_token", version=1)
    sealed = base64.b64decode(answer.json()["sealed"])
    assert open_sealed(sealed, private_key=provisioner.private, info=info).decode() == TOKEN
    assert await held(platform, old) == {"newest_key_id": str(provisioner.key_id), "items": []}


async def test_bytes_that_are_not_those_told_of_are_left_to_their_own_event(
    platform: Platform, tenant: Tenant, provisioner: Provisioner
) -> None:
    old = await platform.announce_key()
    instance = await tenant.create(bot_token=TOKEN)
    event = provisioner.reseal(TOKEN, at=(id_of(instance), "bot_token", 1))
    again = provisioner.reseal(TOKEN, at=(id_of(instance), "bot_token", 1))
    assert again.sealed_hash != event.sealed_hash
    await platform.tell(event, key=id_of(instance), account_id=tenant.id)
    await do_jobs(platform)
    assert len((await held(platform, old))["items"]) == 1


async def test_what_is_gone_meanwhile_is_not_waited_for(platform: Platform, tenant: Tenant) -> None:
    event = SecretResealed(name="bot_token", version=1, sealed_hash="0" * 64, sealing_key_id=new_id())
    await platform.tell(event, key=new_id(), account_id=tenant.id)
    await do_jobs(platform)
    (job,) = await platform.rows("SELECT attempts, last_error FROM jobs")
    assert (job.attempts, job.last_error) == (1, None)


async def test_only_the_provisioner_is_told_what_is_sealed_to_a_key(platform: Platform, tenant: Tenant) -> None:
    """INVARIANT: a list that goes across accounts is for the one service that opens secrets."""
    path = f"sealing-keys/{new_id()}/secrets?after={UUID(int=0)}"
    assert (await ask(platform, path, caller="monitor")).status_code == 403
    assert (await tenant.http.get(f"/internal/{path}")).status_code == 401
