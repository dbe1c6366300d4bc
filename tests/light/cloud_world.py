"""A cloud account on hollow servers and the provisioner that works with it, in this process: killed, paused and started again."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from httpx import AsyncBaseTransport

from clawdeploy_common.http import ASGITransport, AsyncClient
from clawdeploy_emulators.cloud.hollow_agent import AgentPlayer
from clawdeploy_emulators.cloud.hollow_ssh import SshMachine
from clawdeploy_emulators.cloud.machines import HollowMachine, Machine
from tests.engines.databases import Database
from tests.engines.ports import free_ports
from tests.integration.provisioner.conftest import openrouter_in, settings_for
from tests.integration.provisioner.gateway import Gateway
from tests.light.clouds import CloudKind, Making
from tests.light.fates import Late, Life, Wire, generous_budgets
from tests.light.mortal_world import MortalWorld
from tests.light.through_the_gateway import ThroughTheGateway

_POSTPONED_NO_LONGER = """
    UPDATE cleanup_debts SET retry_at = clock_timestamp()
    WHERE settled_at IS NULL AND retry_at < clock_timestamp() + interval '100 seconds'
"""  # one that is being tried is held for longer
_UNFINISHED = "SELECT count(*) FROM operations WHERE finished_at IS NULL"
_OWED = "SELECT count(*) FROM cleanup_debts WHERE settled_at IS NULL"
_MADE = "SELECT provider_ref FROM servers WHERE accepted_at IS NOT NULL"
_LOST = "SELECT provider_ref FROM orphans WHERE resource = 'server'"
_HAUNTED = "SELECT count(*) FROM orphans WHERE removed_at IS NULL"


class CloudWorld(MortalWorld):
    """The account survives too; ``calls`` are all calls of its API."""

    def __init__(self, kind: CloudKind, database: Database, folder: Path, **settings: Any) -> None:
        self.kind = kind
        self.calls: Counter[str] = Counter()
        self.refused = 0
        self._late: list[Late] = []
        self.relay = ThroughTheGateway()
        script = AgentPlayer(folder / "disks", transport=self.relay)
        [ssh_port] = free_ports(1)

        def machine(server_id: str) -> Machine:
            if kind.over_ssh:
                return SshMachine(folder / "machines" / server_id, script=script, port=ssh_port)
            return HollowMachine(server_id, script=script)

        making = Making(
            state_file=folder / f"{kind.name}.sqlite",
            machine=machine,
            clock=lambda: datetime.now(UTC),
            action_seconds=settings.pop("action_seconds", 0.05),
            server_limit=settings.pop("server_limit", 300),
            is_limited=settings.pop("is_limited", False),
        )
        self.app = kind.create(making)
        self.account = kind.account(self.app)
        self._openrouter: FastAPI = openrouter_in(folder)
        self._gateway = Gateway()
        facts = {
            "providers": "",
            "clouds": kind.name,
            "cloud_visibility_seconds": 0,
            "cloud_inventory_seconds": 0.5,
            "agent_busy_heartbeat_seconds": 0.1,
            "agent_heartbeat_seconds": 0.5,
            "provider_call_seconds": 5,
            "orphan_age_seconds": 0.5,
            "ovh_ssh_port": ssh_port,
            **kind.settings,
            **settings,
        }
        super().__init__(database, settings_for(database, **facts), plan=kind.plan)
        if not making.is_limited:
            self.budgets = generous_budgets

    async def close(self) -> None:
        """Switch every machine off."""
        await self.app.state.cloud.machines.close()
        self.app.state.cloud.store.close()

    def client(self, life: Life) -> AsyncClient:
        mounts: dict[str, AsyncBaseTransport] = {
            "http://openrouter": Wire(ASGITransport(self._openrouter), life, count=self._count, late=self._late),
            self.kind.host: Wire(ASGITransport(self.app), life, count=self._count, late=self._late),
            "http://api": ASGITransport(self._gateway.app),
        }
        return AsyncClient(mounts=mounts)

    def _count(self, name: str) -> None:
        if name == "refused":
            self.refused += 1
        else:
            self.calls[name] += 1

    def hold_up(self, call: str) -> Late:
        """Hold the next such call up on its way."""
        self._late.append(Late(call))
        return self._late[-1]

    async def settles(self, *, seconds: float = 180) -> None:
        """Wait until nothing is under way, nothing owed and nothing found that nobody owns, with time driven; then look once more."""
        try:
            async with asyncio.timeout(seconds):
                while await self._open():
                    await self.rows(_POSTPONED_NO_LONGER)
                    await asyncio.sleep(0.3)
        except TimeoutError:
            raise AssertionError(f"it does not settle: {await self._open()}") from None

    async def _open(self) -> list[str]:
        found = [query for query in (_UNFINISHED, _OWED, _HAUNTED) if (await self.rows(query))[0][0]]
        rows = await self.live()
        refs = sorted(row["provider_ref"] for row in rows)
        if await self.account.servers() != refs:
            found.append("servers are not rows")
        known = {str(row["id"]) for row in rows}
        there = await self.account.everything()
        return found + [name for name in there if name not in refs and not any(id_ in name for id_ in known)]

    async def live(self) -> Sequence[Any]:
        """The rows of servers that are there."""
        return await self.rows("SELECT * FROM servers WHERE accepted_at IS NOT NULL AND destroyed_at IS NULL")

    async def is_sound(self) -> None:
        """Law 7: servers at the provider are the servers in the rows, no debt is left, and each deployment made one at most."""
        await self.settles()
        assert await self.account.servers() == sorted(row["provider_ref"] for row in await self.live())
        made = await self.account.made()
        lost = {row["provider_ref"] for row in await self.rows(_LOST)}
        lines = (await self.account.bill())["lines"]
        names = Counter(line["name"] for line in lines if not line["item"].startswith("primary"))
        assert self.kind.repeats or not names or max(names.values()) == 1, names
        assert [ref for ref in made if ref not in lost] == sorted(row["provider_ref"] for row in await self.rows(_MADE))
        for row in await self.rows("SELECT count(*) AS n FROM servers GROUP BY operation_id"):
            assert row["n"] == 1
