"""What the tests of the clouds' stand-ins share."""

import base64
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from clawdeploy_emulators.cloud.machines import HollowMachine
from clawdeploy_emulators.digitalocean import DigitalOceanSettings, create_digitalocean
from clawdeploy_emulators.hetzner import HetznerSettings, create_hetzner
from clawdeploy_emulators.ovh import OvhSettings, create_ovh
from clawdeploy_emulators.ovh.context import signature
from tests.contracts.conftest import Clock
from tests.contracts.description import Description
from tests.contracts.pydo_description import PydoDescription

TOKEN = "t" * 64
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def public_key(number: int = 1) -> str:
    """A well-formed Ed25519 public key that nobody has the private half of."""
    kind = b"ssh-ed25519"
    body = len(kind).to_bytes(4) + kind + (32).to_bytes(4) + number.to_bytes(32)
    return f"ssh-ed25519 {base64.b64encode(body).decode()} test"


@dataclass
class Standin:
    """A cloud's stand-in under test: its clock, and a client whose every answer is judged."""

    app: FastAPI = field(repr=False)
    clock: Clock = field(repr=False)
    http: httpx.AsyncClient

    async def fault(self, kind: str, *, method: str = "GET", path: str = "/", **more: Any) -> None:
        """Switch one fault on."""
        fault = {"kind": kind, "method": method, "path_prefix": path, **more}
        (await self.http.put("/_emulator/faults", json=[fault], headers=BEARER)).raise_for_status()

    async def bill(self) -> dict[str, Any]:
        """The stand-in's books."""
        return (await self.http.get("/_emulator/bill", headers=BEARER)).json()

    async def end(self) -> None:
        """Let machines go and close the file, as the end of the process would."""
        await self.app.state.cloud.machines.close()
        self.app.state.cloud.store.close()


class Room:
    """What was asked of machines, in order; each is hollow."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def __call__(self, server_id: str) -> HollowMachine:
        async def script(user_data: str, address: str) -> None:
            self.heard.append((user_data, address))

        return HollowMachine(server_id, script=script)


HETZNER = Description(
    "hetzner.json",
    base_path="/v1",
    undescribed={
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "object", "required": ["code", "message"]}},
    },
)


@asynccontextmanager
async def hetzner_at(state_file: Path, clock: Clock, **options: Any) -> AsyncGenerator[Standin]:
    """A Hetzner stand-in mounted in process."""
    app = create_hetzner(HetznerSettings(state_file=state_file, token=TOKEN, clock=clock, **options))
    async with mounted(app, clock, HETZNER) as standin:
        yield standin


@asynccontextmanager
async def digitalocean_at(state_file: Path, clock: Clock, **options: Any) -> AsyncGenerator[Standin]:
    """A DigitalOcean stand-in mounted in process."""
    app = create_digitalocean(DigitalOceanSettings(state_file=state_file, token=TOKEN, clock=clock, **options))
    async with mounted(app, clock, PydoDescription()) as standin:
        yield standin


OVH = Description(
    "ovh.json",
    base_path="/1.0",
    undescribed={
        "type": "object",
        "required": ["message"],
        "anyOf": [{"required": ["class"]}, {"required": ["errorCode", "httpCode"]}],
    },
    silent=r"/order/|/auth/|/me/order/\d+/details/\d+/operations",
)
APPLICATION, CONSUMER = "a" * 16, "c" * 32


class OvhSignature(httpx.Auth):
    """Signs each call, by a clock; what does not begin with the API's paths goes with the secret as bearer."""

    requires_request_body = True

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.secret = TOKEN

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        if request.url.path.startswith("/_emulator"):
            yield request
            return
        stamp = str(int(self.clock().timestamp()))
        signed = signature([self.secret, CONSUMER, request.method, str(request.url), request.content.decode(), stamp])
        request.headers["X-Ovh-Application"] = APPLICATION
        request.headers["X-Ovh-Consumer"] = CONSUMER
        request.headers["X-Ovh-Timestamp"] = stamp
        request.headers["X-Ovh-Signature"] = signed
        yield request


def ovh_settings(state_file: Path, **options: Any) -> OvhSettings:
    """Settings of an account whose application and consumer are the tests'."""
    return OvhSettings(
        state_file=state_file, token=TOKEN, application_key=APPLICATION, consumer_key=CONSUMER, **options
    )


@asynccontextmanager
async def ovh_at(state_file: Path, clock: Clock, **options: Any) -> AsyncGenerator[Standin]:
    """An OVH stand-in mounted in process, with a client that signs."""
    app = create_ovh(ovh_settings(state_file, clock=clock, **options))
    async with mounted(app, clock, OVH) as standin:
        standin.http.auth = OvhSignature(clock)
        yield standin


@asynccontextmanager
async def mounted(app: FastAPI, clock: Clock, description: Description | PydoDescription) -> AsyncGenerator[Standin]:
    """A stand-in mounted in process, with a client that shows the token."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://cloud",
        headers=BEARER,
        event_hooks={"response": [description.judge]},
    ) as http:
        standin = Standin(app=app, clock=clock, http=http)
        yield standin
        await standin.end()
