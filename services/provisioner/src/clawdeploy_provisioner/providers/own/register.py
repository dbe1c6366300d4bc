"""Machines of the operator's own are registered and forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, LargeBinary, Text, bindparam, text

from clawdeploy_common.database import Database
from clawdeploy_common.errors import Conflict
from clawdeploy_common.ids import new_id
from clawdeploy_provisioner.providers.own.machines import ALL, KEY_PURPOSE
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
_ONE = text(f"{ALL} WHERE o.id = :id")
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
        """Write a machine down, to be looked at; the same machine again is the one that is there.

        Raises:
            AlreadyRegistered: another one has its name or address.
        """
        key = self._secrets.encrypt(wanted.ssh_key, purpose=KEY_PURPOSE)
        values: dict[str, Any] = {**_columns(wanted), "id": new_id(), "ssh_key": key}
        async with self._database.transaction() as unit:
            added = await unit.session.scalar(_ADD, values)
        return added or await self._same(wanted)

    async def _same(self, wanted: Registration) -> UUID:
        named = {"name": wanted.name, "address": wanted.address, "ssh_port": wanted.ssh_port}
        async with self._database.transaction() as unit:
            found: Sequence[Any] = (await unit.session.execute(_TWINS, named)).all()
        if len(found) == 1 and self._is(found[0], wanted):
            return found[0].id
        raise AlreadyRegistered(f"another machine is {wanted.name} or at {wanted.address}:{wanted.ssh_port}")

    def _is(self, row: Any, wanted: Registration) -> bool:
        given = {name: value for name, value in _columns(wanted).items() if value is not None}
        same = all(getattr(row, name) == value for name, value in given.items())
        return same and self._secrets.decrypt(row.ssh_key, purpose=KEY_PURPOSE) == wanted.ssh_key

    async def remove(self, machine_id: UUID, *, lost: bool) -> None:
        """Forget a machine on which nothing of ours is; one that is gone already is no error. ``lost`` forgets one too that could not
        be put back.

        Raises:
            ServerTaken: an agent is on it.
        """
        async with self._database.transaction() as unit:
            if await unit.session.scalar(_REMOVE, {"id": machine_id, "lost": lost}) is not None:
                return
            row = (await unit.session.execute(_ONE, {"id": machine_id})).one_or_none()
        if row is not None:
            is_leaving = row.state == "releasing"
            raise ServerTaken(
                f"the agent of instance {row.instance_id} has not left {row.name} yet"
                if is_leaving
                else f"the agent of instance {row.instance_id} is on {row.name}; delete the instance first",
                instance_id=str(row.instance_id),
            )

    async def regions(self) -> list[str]:
        """The labels of all machines."""
        async with self._database.transaction() as unit:
            return list((await unit.session.execute(_REGIONS)).scalars())


def _columns(wanted: Registration) -> dict[str, Any]:
    names = ("name", "address", "ssh_port", "ssh_user", "host_key", "region", "memory_mb")
    return {name: getattr(wanted, name) for name in names}
