"""The ``hetzner`` provider: each agent on a server of its own in the operator's Hetzner Cloud project, worked on by its on-server agent."""

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any
from uuid import UUID

import structlog

from clawdeploy_provisioner.on_server.placement import content_of
from clawdeploy_provisioner.on_server.registry import AgentRegistry
from clawdeploy_provisioner.on_server.ssh_keys import new_private_key, public_line
from clawdeploy_provisioner.on_server.user_data import FirstStart, render_user_data
from clawdeploy_provisioner.providers.hetzner.account import HetznerAccount, name_of
from clawdeploy_provisioner.providers.hetzner.answer import (
    INSTANCE_LABEL,
    PLATFORM_LABEL,
    SERVER_LABEL,
    as_server,
    server_id_of,
)
from clawdeploy_provisioner.providers.hetzner.choice import Offer, offers
from clawdeploy_provisioner.providers.hetzner.client import SOLD_OUT, HetznerRefused
from clawdeploy_provisioner.providers.hetzner.settings import HetznerSettings
from clawdeploy_provisioner.providers.protocol import (
    Bundle,
    ConfigurationRejected,
    Listing,
    Progress,
    ProviderUnavailable,
    Server,
    ServerNotFound,
    ServerSpec,
    ServerState,
)

log = structlog.get_logger()

_TAKEN = "uniqueness_error"
_LOOK_AGAIN_S = 0.3
_CARRIED_OUT_S = 20.0
_FOLLOW_S = 5.0


class HetznerProvider:
    """See ``providers.protocol.Provider`` for what each verb promises; nothing is remembered here but the last listing."""

    name = "hetzner"

    def __init__(self, settings: HetznerSettings, *, account: HetznerAccount, agents: AgentRegistry) -> None:
        self._settings = settings
        self._account = account
        self._agents = agents
        self.visibility_lag = settings.visibility_lag

    async def ensure_server(self, spec: ServerSpec) -> Server:
        """Look by label, then order: key, firewall, server, each by a name of its own.

        Raises:
            NothingFits: no type is large enough and within the price limit.
            ProviderUnavailable: sold out everywhere near, or no answer.
        """
        found = await self._account.server(spec.server_id) or await self._order(spec)
        self._account.forget()
        return await self._with_agent(found)

    async def _order(self, spec: ServerSpec) -> dict[str, Any]:
        choices = await self._offers(spec)
        enrolment = await self._agents.expect(
            spec.server_id, instance_id=spec.instance_id, account_id=spec.account_id, ssh_key=new_private_key()
        )
        labels = self._labels(spec)
        key = await self._account.ensure_key(spec.server_id, public_line(enrolment.ssh_key), labels)
        firewall = await self._account.ensure_firewall(spec.server_id, labels)
        start = FirstStart(
            server_id=str(spec.server_id),
            control_plane_url=self._settings.control_plane_url,
            registration_token=enrolment.token,
            memory_mb=spec.memory_mb,
        )
        body: dict[str, Any] = {
            "name": name_of(spec.server_id),
            "image": self._settings.image,
            "ssh_keys": [str(key)],
            "firewalls": [{"firewall": firewall}],
            "user_data": render_user_data(start),
            "labels": labels,
            "public_net": {"enable_ipv4": True, "enable_ipv6": True},
            "start_after_create": True,
        }
        return await self._first_that_is_there(spec, choices, body)

    async def _first_that_is_there(
        self, spec: ServerSpec, choices: list[Offer], body: dict[str, Any]
    ) -> dict[str, Any]:
        for offer in choices:
            try:
                where = {"server_type": offer.server_type, "location": offer.location}
                answer = await self._account.client.post("/servers", {**body, **where})
            except HetznerRefused as error:
                if error.error_code == _TAKEN:
                    return await self._adopted(spec)
                if error.error_code not in SOLD_OUT:
                    raise
                log.info("hetzner.sold_out", server_type=offer.server_type, location=offer.location)
                continue
            log.info("server.created", server_id=str(spec.server_id), **where)
            found: dict[str, Any] = answer["server"]
            return found
        raise ProviderUnavailable(f"Hetzner is sold out at and near {spec.region}", retry_after=60)

    async def _adopted(self, spec: ServerSpec) -> dict[str, Any]:
        """Somebody created it meanwhile: an earlier call of ours whose answer was lost."""
        found = await self._account.server(spec.server_id)
        if found is None:
            raise ProviderUnavailable("the server exists but is not listed yet", retry_after=2)
        return found

    async def _offers(self, spec: ServerSpec) -> list[Offer]:
        types = await self._account.client.pages("/server_types")
        locations = await self._account.client.pages("/locations")
        return offers(
            types,
            locations,
            region=spec.region,
            memory_mb=spec.memory_mb,
            cpu_millis=spec.cpu_millis,
            limit=self._settings.max_hourly,
        )

    def _labels(self, spec: ServerSpec) -> dict[str, Any]:
        return {
            PLATFORM_LABEL: self._settings.platform,
            SERVER_LABEL: str(spec.server_id),
            INSTANCE_LABEL: str(spec.instance_id),
            "clawdeploy.operation": str(spec.operation_id),
            "clawdeploy.account": str(spec.account_id),
        }

    async def find_server(self, server_id: UUID) -> Server | None:
        """By its label, asked now."""
        found = await self._account.server(server_id)
        return None if found is None else await self._with_agent(found)

    async def list_servers(self) -> Listing:
        """Every server with this platform's label; an answer that lacks a page raises instead of passing for the whole."""
        found = await self._account.servers(fresh=True)
        agents = await self._agents.views([server_id_of(one) for one in found])
        beat = self._settings.heartbeat
        servers = [as_server(one, agents.get(server_id_of(one)), heartbeat=beat) for one in found]
        return Listing(servers=servers, complete=True)

    async def ensure_installed(self, server_id: UUID, progress: Progress, *, channels: Collection[str] = ()) -> None:
        """The bootstrap has done it before the server was reachable; plugins come with the configuration."""
        del channels
        agent = await self._agents.view(server_id)
        if agent is None or agent.heartbeat is None or not agent.installed:
            raise ProviderUnavailable("the server is still being set up", retry_after=2)
        await progress(f"OpenClaw {agent.heartbeat.openclaw_version} is on the server")

    async def check_configuration(self, server_id: UUID, bundle: Bundle) -> None:
        """Publish it to the agent and wait for what became of it.

        Raises:
            ConfigurationRejected: OpenClaw refused it, or did not come up with it and the previous one is back.
        """
        published = await self._agents.publish(server_id, content_of(bundle))
        while True:
            result, issues = await self._agents.result(published)
            if result == "applied":
                return
            if result is not None:
                raise ConfigurationRejected(issues or [f"the server's agent said: {result}"])
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def write_configuration(self, server_id: UUID, bundle: Bundle) -> None:
        """The same: it is in place when the agent has applied it."""
        await self.check_configuration(server_id, bundle)

    async def start(self, server_id: UUID) -> Server:
        """Power on if need be, and have the agent start the gateway."""
        found = await self._account.server(server_id)
        if found is None:
            raise ServerNotFound(server_id)
        if found["status"] == "off":
            await self._account.act(found, "poweron")
        agent = await self._agents.view(server_id)
        await self._agents.want(server_id, "running", again=agent is not None and agent.state == "failed")
        await self._carried_out(server_id, frozenset({"starting", "ready", "failed"}))
        return await self._now(server_id)

    async def stop(self, server_id: UUID, *, drain: bool) -> Server:
        """Have the agent stop the gateway; if it does not within 20 s, the machine is powered off."""
        del drain  # the agent's unit lets answers finish
        found = await self._account.server(server_id)
        if found is not None and found["status"] != "off" and not await self._stopped_by_agent(server_id):
            await self._account.act(found, "poweroff")
        return await self._now(server_id)

    async def _stopped_by_agent(self, server_id: UUID) -> bool:
        await self._agents.want(server_id, "stopped")
        try:
            await self._carried_out(server_id, frozenset({"stopped"}))
        except TimeoutError:
            return False
        return True

    async def _carried_out(self, server_id: UUID, states: Collection[str]) -> None:
        """Wait until the agent reports one of these in answer to the newest wish; raises TimeoutError."""
        async with asyncio.timeout(_CARRIED_OUT_S):
            while True:
                agent = await self._agents.view(server_id)
                if agent is not None and agent.state in states:
                    return
                await asyncio.sleep(_LOOK_AGAIN_S)

    async def destroy(self, server_id: UUID) -> None:
        """Revoke the agent, delete the server and follow the action, then its firewall and key; confirmed by looking again."""
        await self._agents.revoke(server_id)
        await self._account.remove(server_id)

    async def logs(self, server_id: UUID, *, tail: int) -> list[str]:
        """The lines the agent told last: those before a gateway failed."""
        agent = await self._agents.view(server_id)
        return [] if agent is None or agent.heartbeat is None else agent.heartbeat.gateway.last_lines[-tail:]

    async def follow_logs(self, server_id: UUID) -> AsyncIterator[str]:
        """The same lines, whenever others are told."""
        told: list[str] = []
        while await self.observe(server_id) is not None:
            lines = await self.logs(server_id, tail=50)
            for line in lines if lines != told else ():
                yield line
            told = lines
            await asyncio.sleep(_FOLLOW_S)

    async def observe(self, server_id: UUID) -> Server | None:
        """By a listing no older than three seconds, and the agent's last heartbeat."""
        for found in await self._account.servers():
            if server_id_of(found) == server_id:
                return await self._with_agent(found)
        return None

    async def _now(self, server_id: UUID) -> Server:
        """After a change of ours."""
        found = await self._account.server(server_id)
        if found is None:
            return Server(server_id=server_id, instance_id=None, provider_ref=str(server_id), state=ServerState.GONE)
        return await self._with_agent(found)

    async def _with_agent(self, found: dict[str, Any]) -> Server:
        agent = await self._agents.view(server_id_of(found))
        return as_server(found, agent, heartbeat=self._settings.heartbeat)
