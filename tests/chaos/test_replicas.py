"""Two replicas of every service on Apache Kafka: they share the work, and any one may go at any time."""

import asyncio
import itertools
import json
import secrets
import shutil
import time
from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.chaos.whole_books import is_sound, no_dead_letters, one_of_everything, quiet
from tests.chaos.whole_platform import SERVICES, WholePlatform, eventually, second, whole_platform
from tests.e2e.local import open_folder
from tests.engines.apache_kafka import ApacheKafka
from tests.engines.requirements import MissingOnThisMachine, lacking
from tests.engines.wheels import RunningPostgres

GATEWAYS = ("api", second("api"))
MUTATIONS_PER_MINUTE = 300
PAUSE_S = 0.4


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


async def started(platform: WholePlatform, name: str) -> None:
    """Start a replica and wait until it can work."""
    platform.start(name)
    await eventually(lambda: platform.is_ready(name), seconds=90)


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


def a_token() -> str:
    """A bot token as Telegram gives them."""
    return f"{secrets.randbelow(10**9) + 10**9}:{secrets.token_hex(18)[:35]}"


class Person:
    """Somebody who keeps changing a token, and whose balancer knows two gateways; what goes wrong is remembered."""

    def __init__(self, platform: WholePlatform, instance_id: str) -> None:
        self.platform = platform
        self.instance_id = instance_id
        self.accepted = 0
        self.lost: list[str] = []
        self.refused = 0
        self.tired = False

    async def work(self) -> None:
        """Change the token again and again, at either gateway in turn, until tired."""
        for gateway in itertools.cycle(GATEWAYS):
            if self.tired:
                return
            await self.change(gateway)
            await asyncio.sleep(PAUSE_S)

    async def change(self, gateway: str) -> None:
        """Change it once; a gateway that refuses the connection is left for the other one, as a balancer does."""
        body = {"bot_token": a_token()}
        for name in (gateway, *(other for other in GATEWAYS if other != gateway)):
            headers = dict(self.platform.http.headers)
            async with httpx.AsyncClient(base_url=self.platform.url(name), headers=headers, timeout=30) as http:
                try:
                    answer = await http.patch(f"/v1/instances/{self.instance_id}", json=body)
                except httpx.ConnectError:
                    self.refused += 1
                    continue
                except httpx.TransportError as error:
                    self.lost.append(f"{name}: {type(error).__name__}")
                    return
            self.accepted += answer.is_success
            if not answer.is_success:
                self.lost.append(f"{name}: {answer.status_code} {answer.text}")
            return
        self.lost.append("no gateway took the connection")


class Listener:
    """A browser's event stream: when it breaks it goes on at the other gateway, after the last event it has."""

    def __init__(self, platform: WholePlatform, instance_id: str) -> None:
        self.platform = platform
        self.instance_id = instance_id
        self.last: str | None = None
        self.positions: list[int] = []
        self.tokens: list[int] = []
        self.answers: list[str] = []
        self.connected = asyncio.Event()

    async def listen(self) -> None:
        """Listen for ever."""
        for gateway in itertools.cycle(GATEWAYS):
            headers = dict(self.platform.http.headers) | ({"Last-Event-ID": self.last} if self.last else {})
            url = f"{self.platform.url(gateway)}/v1/stream"
            try:
                async with (
                    httpx.AsyncClient(timeout=httpx.Timeout(60)) as http,
                    http.stream("GET", url, headers=headers) as answer,
                ):
                    self.answers.append(f"{gateway}: {answer.status_code} after {self.last}")
                    async for line in answer.aiter_lines():
                        self._take(line)
            except httpx.TransportError:
                await asyncio.sleep(0.2)

    def _take(self, line: str) -> None:
        field, _, value = line.partition(": ")
        if field == "id":
            self.last = value
            self.positions.append(int(value))
            self.connected.set()
        elif field == "data" and '"secret.sealed.v1"' in value:
            event: dict[str, Any] = json.loads(value)
            if event["subject"] == self.instance_id:
                self.tokens.append(event["data"]["version"])


async def test_a_rolling_restart_under_load_loses_no_request_and_no_event(platform: WholePlatform) -> None:
    """INVARIANT: nothing is ever lost: every accepted change is an event, once and in order, for who listens all the time."""
    waiting = await platform.deploy("without a server")
    await platform.json("POST", f"/v1/deployments/{waiting['operation']['id']}/cancel")
    await platform.reaches(waiting["id"], "error")
    person, listener = Person(platform, waiting["id"]), Listener(platform, waiting["id"])
    tasks = [asyncio.create_task(listener.listen())]
    deployed: list[str] = []
    try:
        await listener.connected.wait()
        tasks.append(working := asyncio.create_task(person.work()))
        for service in SERVICES:
            deployed.append((await platform.deploy(f"while {service} restarts"))["id"])
            for name in (service, second(service)):
                await asyncio.to_thread(platform.stop, name)
                await started(platform, name)
        person.tired = True
        await working
        await quiet(platform)
        try:
            await eventually(lambda: _as_many(listener, person), seconds=30)
        except TimeoutError:
            raise AssertionError(
                f"{person.accepted} changes, the listener heard {listener.tokens}; {listener.answers}"
            ) from None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert person.lost == []
    assert person.accepted > 20
    assert person.refused > 0, "no gateway was ever away"
    assert listener.tokens == list(range(1, person.accepted + 1))
    assert listener.positions == sorted(listener.positions)
    for name in SERVICES:
        platform.stop(second(name))
    await is_sound(platform, *deployed)


async def _as_many(listener: Listener, person: Person) -> bool:
    return len(listener.tokens) >= person.accepted
