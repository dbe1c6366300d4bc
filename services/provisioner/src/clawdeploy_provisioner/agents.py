"""Reaching a running agent: its identity, and a client for its gateway, next door or through SSH."""

from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import text

from clawdeploy_common.database import Database
from clawdeploy_common.http import AsyncClient
from clawdeploy_provisioner.on_server.ssh.tunnels import tunnel_url
from clawdeploy_provisioner.openclaw.config import GatewayIdentity
from clawdeploy_provisioner.openclaw.gateway import GatewayClient
from clawdeploy_provisioner.secret_store import SecretStore

IDENTITY_PURPOSE = b"clawdeploy/gateway-identity/v1"
_IDENTITY = text("SELECT identity FROM instances WHERE id = :id")
_CHANNELS = text("SELECT heartbeat->'channel_accounts' FROM server_agents WHERE id = :id")


class Agents:
    """Identities are decrypted at use and kept nowhere."""

    def __init__(self, database: Database, secrets: SecretStore, *, http: AsyncClient, tunnels: AsyncClient) -> None:
        self._database = database
        self._secrets = secrets
        self._http = http
        self._tunnels = tunnels

    async def identity(self, instance_id: UUID) -> GatewayIdentity:
        """Who the platform is to this instance's gateway."""
        async with self._database.transaction() as unit:
            stored = await unit.session.scalar(_IDENTITY, {"id": instance_id})
        return GatewayIdentity.model_validate_json(self._secrets.decrypt(stored, purpose=IDENTITY_PURPOSE))

    async def gateway(self, instance_id: UUID, *, host: str, port: int) -> GatewayClient:
        """A client for the gateway at this address."""
        return GatewayClient(f"http://{host}:{port}", await self.identity(instance_id), http=self._http)

    async def gateway_on(self, instance_id: UUID, server_id: UUID) -> GatewayClient:
        """A client for the gateway on a server of its own, which only that server's loopback address reaches."""
        return GatewayClient(tunnel_url(server_id), await self.identity(instance_id), http=self._tunnels)

    async def channels_seen_on(self, server_id: UUID) -> JsonValue:
        """What the agent of a server of its own last told of its channels, as ``channels.status`` answers."""
        async with self._database.transaction() as unit:
            return {"channelAccounts": await unit.session.scalar(_CHANNELS, {"id": server_id}) or {}}
