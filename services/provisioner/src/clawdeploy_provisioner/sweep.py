"""The sweep over what a provider has: whatever carries our label and is not the recorded one is an orphan (law 7)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from sqlalchemy import text

from clawdeploy_common.database import Database
from clawdeploy_provisioner.orphans import Orphan, Orphans
from clawdeploy_provisioner.providers.protocol import Belonging, Listing, Provider, Rented, Server

_ROW = text("SELECT provider_ref FROM servers WHERE id = :id AND destroyed_at IS NULL")


class Sweep:
    """Servers that no row knows as live, twins of those that are known, and keys and firewalls whose server is no more."""

    def __init__(self, database: Database, orphans: Orphans) -> None:
        self._database = database
        self._orphans = orphans

    async def round(self, provider: Provider, listing: Listing, recorded: Mapping[UUID, str | None]) -> None:
        """Deal with what a listing shows that was not ``recorded`` before it, by server; what it lacks is not judged here."""
        for server in listing.servers:
            if server.server_id not in recorded:
                await self._stray(provider, server)
            elif isinstance(provider, Rented) and recorded[server.server_id] not in (None, server.provider_ref):
                await self._twin(provider, provider, server)
        if isinstance(provider, Rented):
            await self._belongings(provider, provider, {server.server_id for server in listing.servers})

    async def _stray(self, provider: Provider, server: Server) -> None:
        orphan = _orphan(provider, server.server_id, "server", server.provider_ref, server.created_at)
        await self._orphans.deal_with(
            orphan, recorded=self._is_live(server.server_id), remove=lambda: provider.destroy(server.server_id)
        )

    async def _twin(self, provider: Provider, rented: Rented, server: Server) -> None:
        """Clouds that do not insist on unique names can have two servers of one label: only the recorded one is ours to keep."""

        async def recorded() -> bool:
            row = await self._row(server.server_id)
            return row is not None and row.provider_ref in (None, server.provider_ref)

        twin = Belonging(kind="server", ref=server.provider_ref, server_id=server.server_id)
        orphan = _orphan(provider, _named(provider, twin), "server", twin.ref, server.created_at)
        await self._orphans.deal_with(orphan, recorded=recorded, remove=lambda: rented.give_back(twin))

    async def _belongings(self, provider: Provider, rented: Rented, listed: set[UUID]) -> None:
        """What belongs to a server that is listed goes with it."""
        alone = [each for each in await rented.belongings() if each.server_id not in listed]
        for belonging in alone:
            orphan = _orphan(provider, _named(provider, belonging), belonging.kind, belonging.ref, None)
            await self._orphans.deal_with(
                orphan,
                recorded=self._is_live(belonging.server_id),
                remove=lambda each=belonging: rented.give_back(each),
            )

    def _is_live(self, server_id: UUID) -> Any:
        async def recorded() -> bool:
            return await self._row(server_id) is not None

        return recorded

    async def _row(self, server_id: UUID) -> Any:
        async with self._database.transaction() as unit:
            return (await unit.session.execute(_ROW, {"id": server_id})).one_or_none()


def _named(provider: Provider, belonging: Belonging) -> UUID:
    return uuid5(NAMESPACE_OID, f"{provider.name}/{belonging.kind}/{belonging.ref}")


def _orphan(provider: Provider, id_: UUID, kind: str, ref: str, since: datetime | None) -> Orphan:
    return Orphan(id=id_, resource=kind, provider=provider.name, provider_ref=ref, since=since)
