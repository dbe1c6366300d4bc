"""The leases of one runner: all are renewed by one statement a second, however many there are."""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from clawdeploy_common.database import Database
from clawdeploy_provisioner.operations import store
from clawdeploy_provisioner.operations.context import Lease
from clawdeploy_provisioner.settings import ProvisionerSettings

log = structlog.get_logger()


async def keep(database: Database, settings: ProvisionerSettings, held: Mapping[Any, Lease]) -> None:
    """Renew what is held, notice cancellations, charge the time to each operation's patience, and say when work must end.

    Only time under the lease is charged: a runner that was paused was not patient. While the database is away, a lease is held as
    long as it lasts.
    """
    while True:
        await asyncio.sleep(min(settings.operation_lease_seconds / 3, 1.0))
        leases, before = list(held.values()), time.monotonic()
        try:
            for row in await renew(database, leases, lease_s=settings.operation_lease_seconds, now=before):
                _heard(leases[int(row.number) - 1], row, settings, asked=before)
        except Exception as error:  # noqa: BLE001 - whatever keeps the database from answering
            log.info("leases.not_renewed", leases=len(leases), error=type(error).__name__)
        for lease in leases:
            if lease.remaining() <= 0:
                lease.over.set()


async def renew(database: Database, leases: Sequence[Lease], *, lease_s: float, now: float) -> Sequence[Any]:
    """Ask for all of them at once; ``now`` is monotonic time."""
    if not leases:
        return ()
    ids, tokens = [lease.operation_id for lease in leases], [lease.token for lease in leases]
    elapsed = [min(int(now - lease.charged), math.ceil(lease_s)) for lease in leases]
    async with asyncio.timeout(5), database.owner.autocommit() as session:
        return await store.renew(session, ids, tokens, elapsed, lease_s=lease_s)


def _heard(lease: Lease, row: Any, settings: ProvisionerSettings, *, asked: float) -> None:
    """What the database says of a lease; a row that somebody works on just now is renewed the next time."""
    if row.state is not None:
        lease.charged += int(asked - lease.charged)
        lease.expires = max(lease.expires, asked + settings.operation_lease_seconds)
        lease.stalled = row.stalled_seconds >= settings.stalled_after_seconds
        if row.cancel_requested_at is not None:
            lease.cancel_requested.set()
    if not row.held or (lease.stalled and row.state == "running"):
        lease.over.set()
