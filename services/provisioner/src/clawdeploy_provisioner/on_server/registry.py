"""What providers do with on-server agents: expect one, tell it what to do, read what it said last."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import LargeBinary, bindparam, text

from clawdeploy_common.database import Database
from clawdeploy_common.errors import PermanentError
from clawdeploy_common.ids import new_id
from clawdeploy_provisioner.on_server.credentials import hashed, new_secret
from clawdeploy_provisioner.on_server.desk import CONFIGURATION_PURPOSE
from clawdeploy_provisioner.on_server.messages import AgentConfigurationContent, Heartbeat, Wanted
from clawdeploy_provisioner.secret_store import SecretStore

TOKEN_LIFE = timedelta(hours=24)
SSH_KEY_PURPOSE = b"clawdeploy/ssh-key/v1"

_EXPECT = text(
    """
    INSERT INTO server_agents (id, instance_id, account_id, ssh_key, ssh_user, ssh_port)
    VALUES (:id, :instance, :account, :ssh_key, :ssh_user, :ssh_port)
    ON CONFLICT (id) DO UPDATE SET id = excluded.id RETURNING ssh_key
    """
).bindparams(bindparam("ssh_key", type_=LargeBinary))
_TOKEN = text(
    """
    INSERT INTO agent_tokens (hash, server_id, expires_at)
    VALUES (:hash, :id, clock_timestamp() + make_interval(secs => :seconds))
    """
).bindparams(bindparam("hash", type_=LargeBinary))
_WANT = text(
    """
    UPDATE server_agents SET generation = generation + 1, wanted = :wanted
    WHERE id = :id AND (wanted <> :wanted OR :again) RETURNING generation
    """
)
_VIEW = "SELECT *, clock_timestamp() - heartbeat_at AS age FROM server_agents"
_ONE = text(f"{_VIEW} WHERE id = :id")
_MANY = text(f"{_VIEW} WHERE id = ANY(:ids)")
_PUBLISHED = text(
    """
    SELECT c.* FROM server_agents a JOIN agent_configurations c ON c.id = a.configuration_id WHERE a.id = :id
    """
)
_EXPECTED = text("SELECT 1 FROM server_agents WHERE id = :id AND revoked_at IS NULL")
_CONTENT = text(
    "SELECT c.content FROM server_agents a JOIN agent_configurations c ON c.id = a.configuration_id WHERE a.id = :id"
)
_PUBLISH = text(
    """
    INSERT INTO agent_configurations (id, server_id, instance_id, version, digest, content)
    SELECT :id, a.id, a.instance_id, :version, :digest, :content FROM server_agents a WHERE a.id = :server RETURNING id
    """
).bindparams(bindparam("digest", type_=LargeBinary), bindparam("content", type_=LargeBinary))
_POINT = text("UPDATE server_agents SET configuration_id = :configuration WHERE id = :server")
_RESULT = text("SELECT result, issues FROM agent_configurations WHERE id = :id")
_DISARM = text(
    """
    UPDATE server_agents SET credential_hash = NULL, registered_at = NULL, host_key = NULL, heartbeat = NULL, heartbeat_at = NULL,
           configuration_id = NULL, wanted = 'stopped', generation = 0
    WHERE id = :id AND revoked_at IS NULL RETURNING id
    """
)
_SPEND = text("UPDATE agent_tokens SET used_at = coalesce(used_at, clock_timestamp()) WHERE server_id = :id")
_REARM = text(
    """
    UPDATE agent_tokens t SET used_at = NULL, expires_at = clock_timestamp() + make_interval(secs => :seconds)
    FROM server_agents a WHERE t.server_id = :id AND a.id = t.server_id AND a.revoked_at IS NULL
    """
)
_REVOKE = text(
    """
    UPDATE server_agents SET revoked_at = coalesce(revoked_at, clock_timestamp()), credential_hash = NULL, ssh_key = NULL
    WHERE id = :id
    """
)


class AgentRevoked(PermanentError):
    """A server that is gone gets no agent any more."""

    code = "agent-revoked"
    title = "The server's agent was revoked"


@dataclass(frozen=True, kw_only=True)
class Enrolment:
    """What a new server is given: a registration token, and the deployment's private SSH key as it was first made."""

    token: str
    ssh_key: bytes


@dataclass(frozen=True, kw_only=True)
class AgentView:
    """An agent as its last heartbeat shows it; ``age`` is None before the first one."""

    server_id: UUID
    wanted: Wanted
    generation: int
    age: timedelta | None
    heartbeat_at: datetime | None
    heartbeat: Heartbeat | None

    @property
    def state(self) -> str | None:
        """The gateway's state, when the report answers the newest wish; None otherwise."""
        if self.heartbeat is None or self.heartbeat.gateway.generation != self.generation:
            return None
        return self.heartbeat.gateway.state

    @property
    def installed(self) -> bool:
        """Whether OpenClaw is on the server."""
        return self.heartbeat is not None and self.heartbeat.openclaw_version is not None


class AgentRegistry:
    """The agents' rows, as providers use them."""

    def __init__(self, database: Database, secrets: SecretStore) -> None:
        self._database = database
        self._secrets = secrets

    async def expect(
        self,
        server_id: UUID,
        *,
        instance_id: UUID,
        account_id: UUID,
        ssh_key: bytes,
        ssh_user: str = "root",
        ssh_port: int = 22,
    ) -> Enrolment:
        """Before a server is asked for: a token for it, and the key that was decided when it was first expected.

        Every attempt has a token of its own, since nobody knows which one reached the provider; the first heartbeat ends them all.

        Raises:
            AgentRevoked: the server is gone, or being removed.
        """
        encrypted = self._secrets.encrypt(ssh_key, purpose=SSH_KEY_PURPOSE)
        token = new_secret()
        async with self._database.transaction() as unit:
            values = {"id": server_id, "instance": instance_id, "account": account_id, "ssh_key": encrypted}
            values |= {"ssh_user": ssh_user, "ssh_port": ssh_port}
            stored = await unit.session.scalar(_EXPECT, values)
            if stored is None:
                raise AgentRevoked(f"the agent of server {server_id} was revoked")
            await unit.session.execute(
                _TOKEN, {"hash": hashed(token), "id": server_id, "seconds": TOKEN_LIFE.total_seconds()}
            )
        return Enrolment(token=token, ssh_key=self._secrets.decrypt(stored, purpose=SSH_KEY_PURPOSE))

    async def want(self, server_id: UUID, wanted: Wanted, *, again: bool = False) -> None:
        """Wish for a gateway that runs or stands still; ``again`` restarts one that runs."""
        async with self._database.transaction() as unit:
            await unit.session.execute(_WANT, {"id": server_id, "wanted": wanted, "again": again})

    async def view(self, server_id: UUID) -> AgentView | None:
        """One agent; None when none is expected there."""
        async with self._database.transaction() as unit:
            row = (await unit.session.execute(_ONE, {"id": server_id})).one_or_none()
        return None if row is None else _view(row)

    async def views(self, server_ids: Sequence[UUID]) -> dict[UUID, AgentView]:
        """Several, by server."""
        async with self._database.transaction() as unit:
            rows = (await unit.session.execute(_MANY, {"ids": list(server_ids)})).all()
        return {row.id: _view(row) for row in rows}

    async def is_expected(self, server_id: UUID) -> bool:
        """Whether the server's agent has not been revoked."""
        async with self._database.transaction() as unit:
            return await unit.session.scalar(_EXPECTED, {"id": server_id}) is not None

    async def secrets_of(self, server_id: UUID) -> list[str]:
        """What must not be read in its output: the values of its configuration's environment."""
        async with self._database.transaction() as unit:
            stored = await unit.session.scalar(_CONTENT, {"id": server_id})
        if stored is None:
            return []
        plain = self._secrets.decrypt(stored, purpose=CONFIGURATION_PURPOSE)
        return list(AgentConfigurationContent.model_validate_json(plain).environment.values())

    async def publish(self, server_id: UUID, content: AgentConfigurationContent) -> UUID:
        """Make this the configuration the agent should have; the same content again is the same configuration."""
        plain = content.model_dump_json().encode()
        digest = hashlib.sha256(plain).digest()
        async with self._database.transaction() as unit:
            current = (await unit.session.execute(_PUBLISHED, {"id": server_id})).one_or_none()
            if current is not None and current.digest == digest:
                return current.id
            values: dict[str, Any] = {"id": new_id(), "server": server_id, "version": content.version}
            encrypted = self._secrets.encrypt(plain, purpose=CONFIGURATION_PURPOSE)
            await unit.session.execute(_PUBLISH, {**values, "digest": digest, "content": encrypted})
            await unit.session.execute(_POINT, {"configuration": values["id"], "server": server_id})
        return values["id"]

    async def result(self, configuration_id: UUID) -> tuple[str | None, list[str]]:
        """What the agent said became of a configuration, and why."""
        async with self._database.transaction() as unit:
            row = (await unit.session.execute(_RESULT, {"id": configuration_id})).one()
        return row.result, list(row.issues or [])

    async def disarm(self, server_id: UUID) -> None:
        """Before its server is wiped: believe this agent no more, nor its tokens; it has no configuration and no host key any more.

        Raises:
            AgentRevoked: the server is gone, or being removed.
        """
        async with self._database.transaction() as unit:
            if await unit.session.scalar(_DISARM, {"id": server_id}) is None:
                raise AgentRevoked(f"the agent of server {server_id} was revoked")
            await unit.session.execute(_SPEND, {"id": server_id})

    async def rearm(self, server_id: UUID) -> None:
        """After it was wiped, where a cloud gives it its first user data again: the tokens in them open once more, until the first
        heartbeat, and for no longer than a new one.
        """
        async with self._database.transaction() as unit:
            await unit.session.execute(_REARM, {"id": server_id, "seconds": TOKEN_LIFE.total_seconds()})

    async def revoke(self, server_id: UUID) -> None:
        """Believe this agent no more."""
        async with self._database.transaction() as unit:
            await unit.session.execute(_REVOKE, {"id": server_id})


def _view(row: Any) -> AgentView:
    heartbeat = None if row.heartbeat is None else Heartbeat.model_validate(row.heartbeat)
    return AgentView(
        server_id=row.id,
        wanted=row.wanted,
        generation=row.generation,
        age=row.age,
        heartbeat_at=row.heartbeat_at,
        heartbeat=heartbeat,
    )
