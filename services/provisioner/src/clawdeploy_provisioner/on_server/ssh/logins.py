"""How to get into a server: its address, the user, our key, and the host key it showed first."""

from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from sqlalchemy import text

from clawdeploy_common.database import Database
from clawdeploy_provisioner.on_server.registry import SSH_KEY_PURPOSE
from clawdeploy_provisioner.on_server.ssh.errors import NoSshLogin
from clawdeploy_provisioner.secret_store import SecretStore

_LOGIN = text(
    """
    SELECT s.host, a.ssh_user, a.ssh_port, a.ssh_key, a.host_key FROM server_agents a JOIN servers s ON s.id = a.id
    WHERE a.id = :id AND a.revoked_at IS NULL AND a.ssh_key IS NOT NULL
    """
)
_PIN = text("UPDATE server_agents SET host_key = coalesce(host_key, :key) WHERE id = :id RETURNING host_key")
_UNPIN = text("UPDATE server_agents SET host_key = NULL WHERE id = :id")


@dataclass(frozen=True, kw_only=True)
class Login:
    """``host_key`` is a line in OpenSSH's format, None before the first contact."""

    host: str
    port: int
    user: str
    private_key: bytes = field(repr=False)
    host_key: str | None


class Pins(Protocol):
    """Who remembers the host keys of first contacts."""

    async def pin(self, server_id: UUID, host_key: str) -> str | None:
        """Remember this one unless one is remembered; answers the one that is."""
        ...


class Logins:
    """Kept with the server's agent; private keys are decrypted at use."""

    def __init__(self, database: Database, secrets: SecretStore) -> None:
        self._database = database
        self._secrets = secrets

    async def find(self, server_id: UUID, *, host: str | None = None) -> Login:
        """How to get in; ``host`` is for those who know the address before it is recorded. Raises NoSshLogin."""
        async with self._database.transaction() as unit:
            row = (await unit.session.execute(_LOGIN, {"id": server_id})).one_or_none()
        address = host or (row.host if row is not None else None)
        if row is None or address is None:
            raise NoSshLogin(server_id)
        return Login(
            host=address,
            port=row.ssh_port,
            user=row.ssh_user,
            private_key=self._secrets.decrypt(row.ssh_key, purpose=SSH_KEY_PURPOSE),
            host_key=row.host_key,
        )

    async def pin(self, server_id: UUID, host_key: str) -> str | None:
        """Remember the host key of the first contact; answers the one that is remembered."""
        async with self._database.transaction() as unit:
            return await unit.session.scalar(_PIN, {"id": server_id, "key": host_key})

    async def unpin(self, server_id: UUID) -> None:
        """After we have had the server reinstalled it has a new host key."""
        async with self._database.transaction() as unit:
            await unit.session.execute(_UNPIN, {"id": server_id})
