"""Where agents report: registration, heartbeats, configurations, results. Every caller is known by a hash."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import LargeBinary, Text, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from clawdeploy_common.database import Database
from clawdeploy_common.errors import NotFound
from clawdeploy_common.work import UnitOfWork
from clawdeploy_provisioner.on_server.credentials import hashed, new_secret
from clawdeploy_provisioner.on_server.messages import (
    AgentConfigurationAnswer,
    AgentConfigurationContent,
    ConfigurationResult,
    GatewayWish,
    Heartbeat,
    Instructions,
    Registered,
)
from clawdeploy_provisioner.on_server.waiting import WaitingAgents, told_of
from clawdeploy_provisioner.secret_store import SecretStore

log = structlog.get_logger()

CONFIGURATION_PURPOSE = b"clawdeploy/agent-configuration/v1"
CONFIGURATION_SECONDS = 120.0
_AGAIN_S = 0.1

_REGISTER = text(
    """
    UPDATE server_agents a SET credential_hash = :credential, registered_at = clock_timestamp()
    FROM agent_tokens t, servers s
    WHERE t.hash = :token AND t.used_at IS NULL AND t.expires_at > clock_timestamp() AND a.id = t.server_id AND s.id = a.id
      AND a.revoked_at IS NULL AND s.destroyed_at IS NULL
    RETURNING a.id
    """
).bindparams(bindparam("credential", type_=LargeBinary), bindparam("token", type_=LargeBinary))
_BEAT = text(
    """
    UPDATE server_agents a SET heartbeat = :heartbeat, heartbeat_at = clock_timestamp()
    WHERE credential_hash = :credential AND revoked_at IS NULL
    RETURNING id, instance_id, wanted, generation, configuration_id,
      EXISTS (SELECT 1 FROM operations o WHERE o.instance_id = a.instance_id AND o.state IN ('running', 'compensating')) AS busy
    """
).bindparams(bindparam("heartbeat", type_=JSONB), bindparam("credential", type_=LargeBinary))
_USE_UP = text("UPDATE agent_tokens SET used_at = clock_timestamp() WHERE server_id = :id AND used_at IS NULL")
_CONFIGURATION = text(
    """
    SELECT c.id, c.content FROM server_agents a JOIN agent_configurations c ON c.id = a.configuration_id
    WHERE a.credential_hash = :credential AND a.revoked_at IS NULL
    """
).bindparams(bindparam("credential", type_=LargeBinary))
_KNOWN = text("SELECT id FROM server_agents WHERE credential_hash = :credential AND revoked_at IS NULL").bindparams(
    bindparam("credential", type_=LargeBinary)
)
_RESULT = text(
    """
    UPDATE agent_configurations SET result = :result, issues = :issues, acknowledged_at = clock_timestamp()
    WHERE id = :id AND server_id = :server RETURNING id
    """
).bindparams(bindparam("result", type_=Text), bindparam("issues", type_=JSONB))


_WISH = text(
    "SELECT wanted, generation, configuration_id FROM server_agents WHERE credential_hash = :credential AND revoked_at IS NULL"
).bindparams(bindparam("credential", type_=LargeBinary))


class AgentUnknown(NotFound):
    """The token or credential opens nothing: wrong, used up, expired or revoked."""

    code = "agent-unknown"
    title = "This token or credential is not known"


class NoConfiguration(NotFound):
    """Nothing was published to this agent, or not under this id."""

    code = "no-configuration"
    title = "There is no such configuration"


class AgentDesk:
    """Answers agents; ``rest`` and ``busy`` are the seconds between heartbeats without and during an operation."""

    def __init__(
        self, database: Database, secrets: SecretStore, *, waiting: WaitingAgents, rest: timedelta, busy: timedelta
    ) -> None:
        self._database = database
        self._waiting = waiting
        self._secrets = secrets
        self._rest = rest.total_seconds()
        self._busy = busy.total_seconds()

    async def register(self, token: str) -> Registered:
        """Exchange a registration token for a credential; raises AgentUnknown."""
        credential = new_secret()
        values = {"token": hashed(token), "credential": hashed(credential)}
        async with self._database.transaction() as unit:
            server_id = await unit.session.scalar(_REGISTER, values)
        if server_id is None:
            raise AgentUnknown
        log.info("agent.registered", server_id=str(server_id))
        return Registered(
            server_id=server_id,
            credential=credential,
            heartbeat_seconds=self._busy,
            configuration_seconds=CONFIGURATION_SECONDS,
        )

    async def heartbeat(self, credential: str, heartbeat: Heartbeat) -> Instructions:
        """Keep what the agent saw, and say what is wanted; the first one uses the registration tokens up. Raises AgentUnknown.

        At rest, an agent that has heard it all is answered when something else is wanted, or after a while, and then asks at once.
        """
        seen = heartbeat.model_dump(mode="json", by_alias=True, exclude={"heard"})
        async with self._database.transaction() as unit:
            row = (
                await unit.session.execute(_BEAT, {"credential": hashed(credential), "heartbeat": seen})
            ).one_or_none()
            if row is None:
                raise AgentUnknown
            await unit.session.execute(_USE_UP, {"id": row.id})
        told = told_of(row)
        if not row.busy and heartbeat.heard == told and await self._waiting.wait(row.id, told):
            return _instructions(await self._wish(credential), seconds=_AGAIN_S)
        return _instructions(row, seconds=self._busy if row.busy else self._rest)

    async def _wish(self, credential: str) -> Any:
        async with self._database.transaction() as unit:
            row = (await unit.session.execute(_WISH, {"credential": hashed(credential)})).one_or_none()
        if row is None:
            raise AgentUnknown
        return row

    async def configuration(self, credential: str) -> AgentConfigurationAnswer:
        """What is published to this agent, in clear; raises AgentUnknown, NoConfiguration."""
        async with self._database.transaction() as unit:
            await self._known(unit, credential)
            row = (await unit.session.execute(_CONFIGURATION, {"credential": hashed(credential)})).one_or_none()
        if row is None:
            raise NoConfiguration
        content = AgentConfigurationContent.model_validate_json(
            self._secrets.decrypt(row.content, purpose=CONFIGURATION_PURPOSE)
        )
        return AgentConfigurationAnswer(id=row.id, **content.model_dump())

    async def acknowledge(self, credential: str, configuration_id: UUID, result: ConfigurationResult) -> None:
        """Note what became of a configuration; raises AgentUnknown, NoConfiguration."""
        async with self._database.transaction() as unit:
            server_id = await self._known(unit, credential)
            values = {"id": configuration_id, "server": server_id, **result.model_dump()}
            if await unit.session.scalar(_RESULT, values) is None:
                raise NoConfiguration
        log.info("agent.configured", server_id=str(server_id), result=result.result)

    async def _known(self, unit: UnitOfWork, credential: str) -> Any:
        server_id = await unit.session.scalar(_KNOWN, {"credential": hashed(credential)})
        if server_id is None:
            raise AgentUnknown
        return server_id


def _instructions(row: Any, *, seconds: float) -> Instructions:
    return Instructions(
        heartbeat_seconds=seconds,
        gateway=GatewayWish(wanted=row.wanted, generation=row.generation),
        configuration_id=row.configuration_id,
    )
