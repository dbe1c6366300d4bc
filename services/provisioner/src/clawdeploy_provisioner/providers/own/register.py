"""Machines of the operator's own are registered and forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, LargeBinary, Text, bindparam, text

from clawdeploy_common.database import Database
from clawdeploy_common.errors import Conflict
from clawdeploy_common.ids import new_id
from clawdeploy_provisioner.providers.own.machines import ALL, KEY_PURPOSE, ONE
from clawdeploy_provisioner.secret_store import SecretStore

_ADD = text(
    """
    INSERT INTO own_servers (id, name, address, ssh_port, ssh_user, ssh_key, host_key, region, memory_mb)
    VALUES (:id, :name, :address, :ssh_port, :ssh_user, :ssh_key, :host_key, :region, :memory_mb)
    ON CONFLICT DO NOTHING RETURNING id
    """
).bindparams(
    bindparam("ssh_key", type_=LargeBinary), bindparam("host_key", type_=Text), bindparam("memory_mb", type_=Integer)
)
_TWINS = text(f"{ALL} WHERE o.name = :name OR (o.address = :address AND o.ssh_port = :ssh_port) ORDER BY o.id")
_LOOK_AGAIN = text(
    """
    UPDATE own_servers SET check_at = clock_timestamp(), reason = CASE WHEN state = 'unreachable' THEN NULL ELSE reason END,
           state = CASE WHEN state = 'unreachable' THEN 'checking' ELSE state END
    WHERE id = :id RETURNING id
    """
)
_IS_RENTED = text("SELECT provider FROM servers WHERE id = :id")
_REMOVE = text(
    """
    DELETE FROM own_servers WHERE id = :id AND (server_id IS NULL OR (:lost AND state = 'releasing')) RETURNING id
    """
)
_REGIONS = text("SELECT DISTINCT region FROM own_servers ORDER BY region")


class AlreadyRegistered(Conflict):
    """Another machine has this name, or this address and port."""

    code = "already-registered"
    title = "This machine is registered already"


class ServerRented(Conflict):
    """A server of an instance's own was to be removed as if it were the operator's."""

    code = "server-rented"
    title = "This server belongs to an instance"


class ServerTaken(Conflict):
    """An agent lives on the machine, or has not left it yet."""

    code = "server-taken"
    title = "An agent is on this machine"


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A machine as the operator describes it."""

    name: str
    address: str
    ssh_port: int
    ssh_user: str
    ssh_key: bytes = field(repr=False)
    host_key: str | None
    region: str
    memory_mb: int | None


class Register:
    """What machines there are; private keys are encrypted at rest."""

    def __init__(self, database: Database, secrets: SecretStore) -> None:
        self._database = database
        self._secrets = secrets

    async def register(self, wanted: Registration) -> UUID:
        """Write a machine down, to be looked at; the same machine again is the one that is there, looked at again if it was away.

        Raises:
            AlreadyRegistered: another one has its name or address.
        """
        key = self._secrets.encrypt(wanted.ssh_key, purpose=KEY_PURPOSE)
        values: dict[str, Any] = {**_columns(wanted), "id": new_id(), "ssh_key": key}
        async with self._database.transaction() as unit:
            added = await unit.session.scalar(_ADD, values)
        return added or await self._same(wanted) or await self.register(wanted)

    async def _same(self, wanted: Registration) -> UUID | None:
        """The one that is there; None when it has gone meanwhile."""
        named = {"name": wanted.name, "address": wanted.address, "ssh_port": wanted.ssh_port}
        async with self._database.transaction() as unit:
            found: Sequence[Any] = (await unit.session.execute(_TWINS, named)).all()
            differing = [difference for row in found if (difference := self._difference(row, wanted))]
            if differing:
                raise AlreadyRegistered("; ".join(differing))
            return await unit.session.scalar(_LOOK_AGAIN, {"id": found[0].id}) if found else None

    def _difference(self, row: Any, wanted: Registration) -> str | None:
        """How a machine that is there differs from the wanted one, to be told."""
        place = f"{row.address}:{row.ssh_port}"
        given = {name: value for name, value in _columns(wanted).items() if value is not None}
        other = [name for name, value in given.items() if getattr(row, name) != value]
        if self._secrets.decrypt(row.ssh_key, purpose=KEY_PURPOSE) != wanted.ssh_key:
            other.append("ssh_private_key")
        if "name" in other:
            return f"{row.name} is at {place}"
        if other:
            return f"{row.name} is there, at {place}, with another {' and '.join(other)}; remove it to add it anew"
        return None

    async def remove(self, machine_id: UUID, *, lost: bool) -> None:
        """Forget a machine on which nothing of ours is; one that is gone already is no error. ``lost`` forgets one too that could not
        be put back.

        Raises:
            ServerTaken: an agent is on it.
            ServerRented: it is no machine of the operator's.
        """
        async with self._database.transaction() as unit:
            if await unit.session.scalar(_REMOVE, {"id": machine_id, "lost": lost}) is not None:
                return
            row = (await unit.session.execute(ONE, {"id": machine_id})).one_or_none()
            provider = await unit.session.scalar(_IS_RENTED, {"id": machine_id})
        if row is not None:
            raise ServerTaken(_taken(row), instance_id=str(row.instance_id))
        if provider is not None:
            raise ServerRented(f"it is at {provider} and goes with its instance")

    async def regions(self) -> list[str]:
        """The labels of all machines."""
        async with self._database.transaction() as unit:
            return list((await unit.session.execute(_REGIONS)).scalars())


def _taken(row: Any) -> str:
    if row.state != "releasing":
        return f"the agent of instance {row.instance_id} is on {row.name}; delete the instance first"
    why = f" ({row.reason})" if row.reason else ""
    return (
        f"the agent of instance {row.instance_id} has not left {row.name} yet{why}; this is tried until it is done, "
        "unless the machine is given up as lost"
    )


def _columns(wanted: Registration) -> dict[str, Any]:
    names = ("name", "address", "ssh_port", "ssh_user", "host_key", "region", "memory_mb")
    return {name: getattr(wanted, name) for name in names}
