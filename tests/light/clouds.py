"""The clouds that chaos knows: how each one's stand-in is made, what is asked of it, and what is in its account."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from clawdeploy_common.http import ASGITransport, AsyncClient
from clawdeploy_emulators.cloud.machines import Machine
from clawdeploy_emulators.hetzner import HetznerSettings, create_hetzner

TOKEN = "t" * 64
_PLENTY = 1_000_000
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@dataclass(frozen=True, kw_only=True)
class Making:
    """What every stand-in is made with."""

    state_file: Path
    machine: Callable[[str], Machine]
    clock: Callable[[], datetime]
    action_seconds: float = 0.2
    server_limit: int = 300
    is_limited: bool = False  # in calls: an account that is looked at again and again needs more than the cloud gives


@dataclass(frozen=True, kw_only=True)
class CloudKind:
    """One cloud: its stand-in, the provisioner's settings for it, a deployment's place there, and its collections by path."""

    name: str
    create: Callable[[Making], FastAPI]
    settings: dict[str, Any]
    plan: dict[str, Any]
    servers: str
    others: tuple[str, ...]
    ordering: tuple[str, str]

    @property
    def host(self) -> str:
        """Where the stand-in is mounted."""
        return f"http://{self.name}"


def _hetzner(making: Making) -> FastAPI:
    return create_hetzner(
        HetznerSettings(
            state_file=making.state_file,
            token=TOKEN,
            action_seconds=making.action_seconds,
            server_limit=making.server_limit,
            machine=making.machine,
            clock=making.clock,
            requests_per_hour=3600 if making.is_limited else _PLENTY,
        )
    )


CLOUDS = {
    cloud.name: cloud
    for cloud in [
        CloudKind(
            name="hetzner",
            create=_hetzner,
            settings={"HETZNER_API_TOKEN": TOKEN, "hetzner_base_url": "http://hetzner/v1"},
            plan={"provider": "hetzner", "region": "nbg1", "cpu_millis": 1000},
            servers="/v1/servers",
            others=("/v1/ssh_keys", "/v1/firewalls"),
            ordering=("POST", "/v1/servers"),
        ),
    ]
}


class Account:
    """The account as its owner sees it, past every fault."""

    def __init__(self, kind: CloudKind, app: FastAPI) -> None:
        self.kind = kind
        self.http = AsyncClient(transport=ASGITransport(app), base_url=kind.host, headers=BEARER)

    async def listed(self, path: str) -> list[dict[str, Any]]:
        """Everything in a collection."""
        found: list[dict[str, Any]] = []
        while True:
            answer = await self.http.get(path, params={"page": len(found) // 50 + 1, "per_page": 50})
            page: list[dict[str, Any]] = answer.json()[path.rsplit("/", 1)[1]]
            found += page
            if len(page) < 50:
                return found

    async def servers(self) -> list[str]:
        """The numbers of the servers."""
        return sorted(str(server["id"]) for server in await self.listed(self.kind.servers))

    async def everything(self) -> list[str]:
        """The names of all there is."""
        paths = (self.kind.servers, *self.kind.others)
        return sorted([str(item["name"]) for path in paths for item in await self.listed(path)])

    async def bill(self) -> dict[str, Any]:
        """What the cloud charges until now."""
        return (await self.http.get("/_emulator/bill")).json()

    async def faults(self, *faults: dict[str, Any]) -> None:
        """Replace the faults that are on."""
        (await self.http.put("/_emulator/faults", json=list(faults))).raise_for_status()

    async def sold_out(self, *entries: dict[str, str]) -> None:
        """Replace what is sold out."""
        (await self.http.put("/_emulator/sold-out", json=list(entries))).raise_for_status()
