"""A platform of replicas that is used all the time: somebody changes things, somebody listens, services restart one by one."""

import asyncio
import base64
import itertools
import json
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.chaos.whole_books import quiet
from tests.chaos.whole_platform import SERVICES, WholePlatform, eventually, second

GATEWAYS = ("api", second("api"))
PAUSE_S = 0.4


def a_key() -> str:
    """32 random bytes as ENCRYPTION_KEY takes them."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


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


async def started(platform: WholePlatform, name: str) -> None:
    """Start a replica and wait until it can work."""
    platform.start(name)
    await eventually(lambda: platform.is_ready(name), seconds=90)


async def restart_all(platform: WholePlatform) -> list[str]:
    """Every replica of every service, one after the other, while an agent is deployed for each service; answers the agents."""
    deployed: list[str] = []
    for service in SERVICES:
        deployed.append((await platform.deploy(f"while {service} restarts"))["id"])
        for name in (service, second(service)):
            await asyncio.to_thread(platform.stop, name)
            await started(platform, name)
    return deployed


@asynccontextmanager
async def used(platform: WholePlatform) -> AsyncGenerator[None]:
    """Somebody keeps changing an agent meanwhile, and somebody listens; at the end each change was accepted, and heard once."""
    waiting = await platform.deploy("without a server")
    await platform.json("POST", f"/v1/deployments/{waiting['operation']['id']}/cancel")
    await platform.reaches(waiting["id"], "error")
    person, listener = Person(platform, waiting["id"]), Listener(platform, waiting["id"])
    tasks = [asyncio.create_task(listener.listen())]
    try:
        await listener.connected.wait()
        tasks.append(working := asyncio.create_task(person.work()))
        yield
        person.tired = True
        await working
        await quiet(platform)
        await _heard(listener, person)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert person.lost == []
    assert person.accepted > 20
    assert person.refused > 0, "no gateway was ever away"
    assert listener.tokens == list(range(1, person.accepted + 1))
    assert listener.positions == sorted(listener.positions)


async def _heard(listener: Listener, person: Person) -> None:
    async def as_many() -> bool:
        return len(listener.tokens) >= person.accepted

    try:
        await eventually(as_many, seconds=30)
    except TimeoutError:
        heard = f"{person.accepted} changes, the listener heard {listener.tokens}; {listener.answers}"
        raise AssertionError(heard) from None
