"""The rows of the operator's own machines: looked at, claimed, given up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Text, bindparam, text

from clawdeploy_common.database import Database
from clawdeploy_provisioner.on_server.ssh.logins import Login
from clawdeploy_provisioner.providers.cloud.choice import NothingFits
from clawdeploy_provisioner.providers.protocol import ProviderUnavailable, ServerSpec
from clawdeploy_provisioner.secret_store import SecretStore

KEY_PURPOSE = b"clawdeploy/own-server-key/v1"

ALL = "SELECT o.*, s.instance_id, s.account_id FROM own_servers o LEFT JOIN servers s ON s.id = o.server_id"
"""A machine with the server of ours that has it."""
ONE = text(f"{ALL} WHERE o.id = :id")
_CLAIMED = text(f"{ALL} WHERE o.server_id = :server")
_CLAIMS = text(f"{ALL} WHERE o.server_id IS NOT NULL ORDER BY o.id")
_DUE = text(
    """
    UPDATE own_servers SET check_at = clock_timestamp() + make_interval(secs => :hold)
    WHERE id IN (SELECT id FROM own_servers WHERE state IN ('checking', 'unreachable') AND check_at <= clock_timestamp()
                 ORDER BY check_at LIMIT 10 FOR UPDATE SKIP LOCKED)
    RETURNING id
    """
)
_LOOKED_AT = text(
    """
    UPDATE own_servers SET state = :state, reason = :reason, memory_mb = coalesce(memory_mb, :memory_mb),
           checked_at = clock_timestamp(), check_at = clock_timestamp() + make_interval(secs => :again)
    WHERE id = :id AND state IN ('checking', 'unreachable')
    """
).bindparams(bindparam("reason", type_=Text), bindparam("memory_mb", type_=Integer))
_PIN = text("UPDATE own_servers SET host_key = coalesce(host_key, :key) WHERE id = :id RETURNING host_key")
_TWIN = text(
    "SELECT t.name FROM own_servers o JOIN own_servers t ON t.host_key = o.host_key AND t.id < o.id WHERE o.id = :id LIMIT 1"
)
_CLAIM = text(
    """
    UPDATE own_servers SET state = 'taken', server_id = :server, claimed_at = clock_timestamp()
    WHERE id = (SELECT id FROM own_servers WHERE state = 'free' AND region = :region AND memory_mb >= :memory_mb
                ORDER BY memory_mb, created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING id
    """
)
_FITS = text(
    "SELECT 1 FROM own_servers WHERE region = :region AND (memory_mb IS NULL OR memory_mb >= :memory_mb) LIMIT 1"
)
_RELEASING = text("UPDATE own_servers SET state = 'releasing' WHERE server_id = :server RETURNING id")
_GIVEN_UP = text(
    """
    UPDATE own_servers SET state = CASE WHEN begun_at IS NULL THEN 'checking' ELSE 'free' END, reason = NULL, server_id = NULL,
           claimed_at = NULL, begun_at = NULL, check_at = clock_timestamp()
    WHERE server_id = :server
    """
)
_STUCK = text("UPDATE own_servers SET reason = :reason WHERE server_id = :server AND state = 'releasing'")
_BEGUN = text(
    """
    UPDATE own_servers SET begun_at = coalesce(begun_at, clock_timestamp())
    WHERE server_id = :server AND state = 'taken' RETURNING id
    """
)
_FACTS = (
    "id",
    "name",
    "address",
    "region",
    "memory_mb",
    "server_id",
    "instance_id",
    "account_id",
    "claimed_at",
    "begun_at",
)
_NOMINAL_PERCENT = 90
"""A machine of 2 GB has less than that to offer: its firmware and kernel keep some."""


@dataclass(frozen=True, kw_only=True)
class OwnMachine:
    """A registered machine, with the server of ours that has it and whose that is; how to get in is ``OwnMachines.login``."""

    id: UUID
    name: str
    region: str
    memory_mb: int | None
    address: str
    server_id: UUID | None
    instance_id: UUID | None
    account_id: UUID | None
    claimed_at: datetime | None
    begun_at: datetime | None


class OwnMachines:
    """All of them; their private keys are decrypted at use."""

    def __init__(self, database: Database, secrets: SecretStore) -> None:
        self._database = database
        self._secrets = secrets

    async def due(self, *, hold_s: float) -> list[OwnMachine]:
        """Those to be looked at now; nobody else looks at them for ``hold_s``."""
        async with self._database.transaction() as unit:
            ids = list((await unit.session.execute(_DUE, {"hold": hold_s})).scalars())
            rows = [(await unit.session.execute(ONE, {"id": id_})).one() for id_ in ids]
        return [_machine(row) for row in rows]

    async def looked_at(
        self, machine_id: UUID, *, state: str, reason: str | None, memory_mb: int | None, again_s: float
    ) -> None:
        """Write down what was seen; one that is claimed meanwhile stays as it is."""
        values = {"id": machine_id, "state": state, "reason": reason, "memory_mb": memory_mb, "again": again_s}
        async with self._database.transaction() as unit:
            await unit.session.execute(_LOOKED_AT, values)

    async def login(self, machine: OwnMachine) -> Login:
        """How to get in, with the host key that is known; raises SealBroken."""
        (row,) = await self._rows(ONE, id=machine.id)
        return Login(
            host=row.address,
            port=row.ssh_port,
            user=row.ssh_user,
            private_key=self._secrets.decrypt(row.ssh_key, purpose=KEY_PURPOSE),
            host_key=row.host_key,
        )

    async def pin(self, server_id: UUID, host_key: str) -> str | None:
        """Remember a machine's host key of the first contact; answers the one that is remembered."""
        async with self._database.transaction() as unit:
            return await unit.session.scalar(_PIN, {"id": server_id, "key": host_key})

    async def twin(self, machine: OwnMachine) -> str | None:
        """The name of one that was registered before and has the same host key."""
        async with self._database.transaction() as unit:
            return await unit.session.scalar(_TWIN, {"id": machine.id})

    async def claim(self, spec: ServerSpec) -> OwnMachine:
        """The machine of this server: the one it has, else the smallest free one of the region that is large enough.

        Raises:
            NothingFits: no machine of the region is large enough.
            ProviderUnavailable: none of them is free now.
        """
        wanted = {"region": spec.region, "memory_mb": spec.memory_mb * _NOMINAL_PERCENT // 100}
        async with self._database.transaction() as unit:
            row = (await unit.session.execute(_CLAIMED, {"server": spec.server_id})).one_or_none()
            if row is None and await unit.session.scalar(_CLAIM, {"server": spec.server_id, **wanted}) is not None:
                row = (await unit.session.execute(_CLAIMED, {"server": spec.server_id})).one()
            fits = row is not None or await unit.session.scalar(_FITS, wanted) is not None
        if row is not None:
            return _machine(row)
        large = f"machine in {spec.region} with {spec.memory_mb} MB of memory"
        if not fits:
            raise NothingFits(f"there is no {large}")
        raise ProviderUnavailable(f"no {large} is free now", retry_after=5)

    async def claimed(self, server_id: UUID) -> OwnMachine | None:
        """The machine that a server has."""
        rows = await self._rows(_CLAIMED, server=server_id)
        return _machine(rows[0]) if rows else None

    async def claims(self) -> list[OwnMachine]:
        """Every machine that some server has."""
        return [_machine(row) for row in await self._rows(_CLAIMS)]

    async def begin(self, server_id: UUID) -> bool:
        """Something is about to be put on it; False when the server has it no more."""
        return bool(await self._rows(_BEGUN, server=server_id))

    async def releasing(self, server_id: UUID) -> None:
        """It is about to be put back."""
        await self._do(_RELEASING, server=server_id)

    async def stuck(self, server_id: UUID, reason: str) -> None:
        """It could not be put back yet."""
        await self._do(_STUCK, server=server_id, reason=reason[:500])

    async def give_up(self, server_id: UUID) -> None:
        """Nothing of ours is on it (any more); one on which nothing was begun is looked at again."""
        await self._do(_GIVEN_UP, server=server_id)

    async def _do(self, statement: Any, **values: Any) -> None:
        async with self._database.transaction() as unit:
            await unit.session.execute(statement, values)

    async def _rows(self, statement: Any, **values: Any) -> Sequence[Any]:
        async with self._database.transaction() as unit:
            return (await unit.session.execute(statement, values)).all()


def _machine(row: Any) -> OwnMachine:
    return OwnMachine(**{name: getattr(row, name) for name in _FACTS})
