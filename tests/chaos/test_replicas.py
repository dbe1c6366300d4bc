"""Two replicas of every service on Apache Kafka: they share the work, and any one may go at any time."""

import asyncio
import itertools
import secrets
import shutil
import time
from collections.abc import AsyncGenerator
from uuid import uuid4

import httpx
import pytest

from tests.chaos.under_load import GATEWAYS, a_key, a_token, restart_all, started, used
from tests.chaos.whole_books import is_sound, no_dead_letters, one_of_everything
from tests.chaos.whole_platform import SERVICES, WholePlatform, eventually, second, whole_platform
from tests.e2e.local import open_folder
from tests.engines.apache_kafka import ApacheKafka
from tests.engines.requirements import MissingOnThisMachine, lacking
from tests.engines.wheels import RunningPostgres

_PROVISIONERS = ("provisioner", second("provisioner"))
MUTATIONS_PER_MINUTE = 300


@pytest.fixture(scope="module")
async def platform() -> AsyncGenerator[WholePlatform]:
    folder = open_folder()
    try:
        kafka, postgres = ApacheKafka(folder / "kafka"), RunningPostgres(folder / "postgres")
    except MissingOnThisMachine as error:
        lacking(str(error))
    settings = {
        "CLAWDEPLOY_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "CLAWDEPLOY_KAFKA_FETCH_MAX_WAIT_MS": "100",
        "CLAWDEPLOY_KAFKA_SESSION_TIMEOUT_MS": "6000",
        "CLAWDEPLOY_KAFKA_PARTITIONS": "4",
    }
    more = {
        "CLAWDEPLOY_MUTATIONS_PER_MINUTE": str(MUTATIONS_PER_MINUTE),
        "CLAWDEPLOY_SEALING_ROUND_SECONDS": "0.5",
        "CLAWDEPLOY_SEALING_KEY_GRACE_SECONDS": "2",
    }
    try:
        await postgres.start()
        await kafka.start()
        async with whole_platform(folder / "services", postgres=postgres, kafka=settings, more=more) as platform:
            yield platform
    finally:
        kafka.kill()
        postgres.remove()
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
async def _two_of_each(platform: WholePlatform) -> None:
    """Start the replicas; the test before may have ended them."""
    for name in map(second, SERVICES):
        if not await platform.is_ready(name):
            await started(platform, name)


async def test_deploys_given_to_either_gateway_make_one_of_everything(platform: WholePlatform) -> None:
    """INVARIANT: replicas never do the same thing twice."""
    body = {"model": "gpt-5.2", "channel": "telegram"}
    deployed: list[str] = []
    for number, gateway in zip(range(4), itertools.cycle(GATEWAYS), strict=False):
        path = f"{platform.url(gateway)}/v1/instances"
        deployed.append((await platform.json("POST", path, json={"name": f"replica {number}", **body}))["id"])
    for instance_id in deployed:
        await platform.reaches(instance_id, "running", seconds=120)
        await one_of_everything(platform, instance_id)
    await no_dead_letters(platform)


async def test_gateways_share_an_accounts_limit(platform: WholePlatform) -> None:
    """INVARIANT: a limit holds for the account, whichever replica is asked."""
    made = await platform.json("POST", "/v1/accounts", json={"name": "limited"})
    headers = {"Authorization": f"Bearer {made['api_key']}"}
    statuses: list[int] = []
    began = time.monotonic()

    async def ask(gateway: str) -> None:
        async with httpx.AsyncClient(base_url=platform.url(gateway), headers=headers, timeout=60) as http:
            answers = [await http.post(f"/v1/instances/{uuid4()}/start") for _ in range(MUTATIONS_PER_MINUTE // 4)]
            statuses.extend(answer.status_code for answer in answers)

    await asyncio.gather(*(ask(gateway) for gateway in GATEWAYS for _ in range(4)))
    refilled = (time.monotonic() - began) * MUTATIONS_PER_MINUTE / 60
    admitted = len(statuses) - statuses.count(429)
    assert set(statuses) == {404, 429}
    assert MUTATIONS_PER_MINUTE <= admitted <= MUTATIONS_PER_MINUTE + refilled + 1


async def test_the_sealing_key_is_changed_while_agents_are_deployed(platform: WholePlatform) -> None:
    """INVARIANT: a key goes when nothing is sealed to it any more, in no service, and no secret goes with it."""
    before = await platform.deploy("sealed before")
    await platform.json("PATCH", f"/v1/instances/{before['id']}", json={"bot_token": a_token()})
    await platform.reaches(before["id"], "running")
    [old] = await platform.rows("SELECT id FROM provisioner.sealing_keys")

    between = await platform.deploy("while the key changes")
    await platform.json("POST", "/v1/admin/sealing-keys/rotate")
    await platform.json("PATCH", f"/v1/instances/{between['id']}", json={"bot_token": a_token()})
    await platform.reaches(between["id"], "running")

    async def is_changed() -> bool:
        kept = await platform.rows("SELECT id FROM provisioner.sealing_keys")
        return len(kept) == 1 and kept != [old]

    await eventually(is_changed, seconds=60)
    [new] = await platform.rows("SELECT id FROM provisioner.sealing_keys")
    for table in ("api.secrets", "provisioner.secret_copies"):
        keys = await platform.rows(f"SELECT DISTINCT sealing_key_id AS id FROM {table}")  # noqa: S608 - our names
        assert [row["id"] for row in keys] == [new["id"]], table

    await platform.ask("POST", f"/v1/instances/{before['id']}/redeploy")
    await platform.reaches(before["id"], "running")
    await no_dead_letters(platform)


async def test_a_rolling_restart_under_load_loses_no_request_and_no_event(platform: WholePlatform) -> None:
    """INVARIANT: nothing is ever lost: every accepted change is an event, once and in order, for who listens all the time."""
    async with used(platform):
        deployed = await restart_all(platform)
    for name in SERVICES:
        platform.stop(second(name))
    await is_sound(platform, *deployed)


@pytest.mark.long
async def test_both_secrets_of_the_platform_are_changed_while_it_is_used(platform: WholePlatform) -> None:
    """INVARIANT: docs/key-rotation.md is true: no request is refused, no secret is lost, the old keys are worth nothing."""
    old = platform.keys
    new = {"CLAWDEPLOY_INTERNAL_SECRET": secrets.token_urlsafe(36), "ENCRYPTION_KEY": a_key()}
    before = await platform.deploy("before")
    await platform.json("PATCH", f"/v1/instances/{before['id']}", json={"bot_token": a_token()})
    await platform.reaches(before["id"], "running")
    deployed: list[str] = []
    async with used(platform):
        for now, previous in ((old, new), (new, old)):
            platform.keys = {**now, **{f"{name}_PREVIOUS": value for name, value in previous.items()}}
            deployed.extend(await restart_all(platform))
        await eventually(lambda: _nothing_needs_the_previous_key(platform), seconds=90)
        platform.keys = new
        deployed.extend(await restart_all(platform))
    for name in SERVICES:
        platform.stop(second(name))
    await platform.ask("POST", f"/v1/instances/{before['id']}/redeploy")
    await platform.reaches(before["id"], "running")  # its token still opens
    await is_sound(platform, *deployed)


async def _nothing_needs_the_previous_key(platform: WholePlatform) -> bool:
    """By the word of both provisioners' metrics."""
    told = [(await platform.http.get(f"{platform.url(name)}/metrics")).text for name in _PROVISIONERS]
    return all('clawdeploy_encrypted_rows{key="previous"} 0.0' in text for text in told)
