"""A cloud account as its owner sees it, past every fault."""

from functools import partial
from typing import Any

from fastapi import FastAPI
from httpx import Auth

from clawdeploy_common.clock import utc_now
from clawdeploy_common.http import ASGITransport, AsyncClient
from tests.contracts.clouds import BEARER, OvhSignature
from tests.contracts.conftest import Clock

_PAGE = 50
_OURS = "clawdeploy.server"


class Account:
    """What is there: servers by the number that the provisioner knows them by, everything by name.

    ``lists`` are the collections by path, the servers' first; what is called ``always`` stays for ever and counts for nothing.
    """

    auth: Auth | None = None

    def __init__(self, app: FastAPI, *, host: str, lists: tuple[str, ...] = (), always: str = "") -> None:
        past_faults = ASGITransport(partial(FastAPI.__call__, app))
        self.http = AsyncClient(transport=past_faults, base_url=host, headers=BEARER, auth=self.auth)
        self._lists = lists
        self._always = always

    async def get(self, path: str, **query: Any) -> Any:
        """An answer of the cloud's."""
        answer = await self.http.get(path, params=query)
        answer.raise_for_status()
        return answer.json()

    async def listed(self, path: str) -> list[dict[str, Any]]:
        """Everything in a collection."""
        key = {"keys": "ssh_keys"}.get(path.rsplit("/", 1)[1], path.rsplit("/", 1)[1])
        found: list[dict[str, Any]] = []
        while True:
            page = (await self.get(path, page=len(found) // _PAGE + 1, per_page=_PAGE))[key]
            found += page
            if len(page) < _PAGE:
                return found

    async def servers(self) -> list[str]:
        """The numbers of the servers that are there and go on costing money."""
        return sorted(str(server["id"]) for server in await self.listed(self._lists[0]))

    async def everything(self) -> list[str]:
        """The names of all there is."""
        names = [str(item["name"]) for path in self._lists for item in await self.listed(path)]
        return sorted(name for name in names if name != self._always)

    async def made(self) -> list[str]:
        """The numbers of all servers that there ever were."""
        lines = (await self.bill())["lines"]
        return sorted(line["server_id"] for line in lines if not line["item"].startswith("primary"))

    async def bill(self) -> dict[str, Any]:
        """What the cloud charges until now."""
        return (await self.http.get("/_emulator/bill")).json()

    async def faults(self, *faults: dict[str, Any]) -> None:
        """Replace the faults that are on."""
        (await self.http.put("/_emulator/faults", json=list(faults))).raise_for_status()

    async def ends_endless(self) -> None:
        """What never ended at the cloud ends."""
        (await self.http.delete("/_emulator/endless")).raise_for_status()

    async def sold_out(self, *entries: dict[str, str]) -> None:
        """Replace what is sold out."""
        (await self.http.put("/_emulator/sold-out", json=list(entries))).raise_for_status()


class OvhAccount(Account):
    """Here a server is an order, and there as long as its contract goes on; a VPS whose contract ends stays, and is no server."""

    def __init__(self, app: FastAPI, *, host: str) -> None:
        self.auth = OvhSignature(Clock(utc_now()))
        super().__init__(app, host=host)

    async def servers(self) -> list[str]:
        """The orders that were neither cancelled nor ended."""
        return sorted([order for order in await self.made() if await self._goes_on(order)])

    async def everything(self) -> list[str]:
        """Whose VPS they are, as their tags say it; one that carries none, or is not there yet, by its order."""
        names: list[str] = []
        for order in await self.servers():
            service = await self._service(order)
            tagged: dict[str, str] = {} if service is None else (await self.get(f"/1.0/vps/{service}"))["iam"]["tags"]
            names.append(tagged.get(_OURS, order))
        return sorted(names)

    async def made(self) -> list[str]:
        """Every order."""
        return sorted(str(order) for order in await self.get("/1.0/me/order"))

    async def _goes_on(self, order: str) -> bool:
        if await self.get(f"/1.0/me/order/{order}/status") == "cancelled":
            return False
        service = await self._service(order)
        return (
            service is None or not (await self.get(f"/1.0/vps/{service}/serviceInfos"))["renew"]["deleteAtExpiration"]
        )

    async def _service(self, order: str) -> str | None:
        for detail in await self.get(f"/1.0/me/order/{order}/details"):
            name = (await self.get(f"/1.0/me/order/{order}/details/{detail}"))["domain"]
            if name != "*":
                return str(name)
        return None
