"""A provider on a cloud: each agent on a server of its own in an account of the operator's, worked on by its on-server agent."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from dataclasses import replace
from uuid import UUID

from clawdeploy_common.errors import PermanentError
from clawdeploy_provisioner.on_server.placement import content_of
from clawdeploy_provisioner.on_server.registry import AgentRegistry, Enrolment
from clawdeploy_provisioner.on_server.ssh.journal import ServerJournal
from clawdeploy_provisioner.on_server.ssh.sessions import SshSessions
from clawdeploy_provisioner.on_server.ssh.state import SshState
from clawdeploy_provisioner.on_server.ssh_keys import new_private_key, public_line
from clawdeploy_provisioner.on_server.user_data import FirstStart
from clawdeploy_provisioner.providers.cloud.account import CloudAccount, Machine, Order
from clawdeploy_provisioner.providers.cloud.answer import as_server, is_heard
from clawdeploy_provisioner.providers.cloud.settings import CloudSettings
from clawdeploy_provisioner.providers.protocol import (
    Belonging,
    Bundle,
    ConfigurationRejected,
    LastBill,
    Listing,
    Progress,
    ProviderError,
    ProviderUnavailable,
    Server,
    ServerNotFound,
    ServerSpec,
    ServerState,
)

_LOOK_AGAIN_S = 0.3
_CARRIED_OUT_S = 20.0


class SwitchedOff(ProviderError, PermanentError):
    """What lies on a machine that is off cannot be read."""

    code = "switched-off"
    title = "The server is switched off"

    def __init__(self, server_id: UUID) -> None:
        super().__init__(f"server {server_id} is switched off: start its agent, or redeploy it without its state")


class CloudProvider:
    """See ``providers.protocol.Provider`` for what each verb promises; the account differs from cloud to cloud, and remembers nothing."""

    def __init__(
        self, name: str, settings: CloudSettings, *, account: CloudAccount, agents: AgentRegistry, ssh: SshSessions
    ) -> None:
        self.name = name
        self._settings = settings
        self._ssh = ssh
        self._journal = ServerJournal(ssh, agents)
        self._state = SshState(ssh)
        self._account = account
        self._agents = agents
        self.visibility_lag = settings.visibility_lag
        self.delivery_patience = settings.delivery_patience

    async def ensure_server(self, spec: ServerSpec) -> Server:
        """Look by label, then order.

        Raises:
            NothingFits: no type is large enough and within the price limit.
            ProviderUnavailable: sold out everywhere near, or no answer.
        """
        machine = await self._account.server(spec.server_id) or await self._order(spec)
        self._account.forget()
        return await self._with_agent(machine)

    async def _order(self, spec: ServerSpec) -> Machine:
        enrolment = await self._expected(spec)
        start = self._start(spec.server_id, enrolment, memory_mb=spec.memory_mb)
        return await self._account.order(Order(spec=spec, public_key=public_line(enrolment.ssh_key), start=start))

    async def _expected(self, spec: ServerSpec) -> Enrolment:
        return await self._agents.expect(
            spec.server_id, instance_id=spec.instance_id, account_id=spec.account_id, ssh_key=new_private_key()
        )

    def _start(self, server_id: UUID, enrolment: Enrolment, *, memory_mb: int) -> FirstStart:
        return FirstStart(
            server_id=str(server_id),
            control_plane_url=self._settings.control_plane_url,
            registration_token=enrolment.token,
            memory_mb=memory_mb,
        )

    async def rebuild(self, spec: ServerSpec, progress: Progress) -> None:
        """Disarm its agent, have it wiped, and let a new agent register: with a new token, or with the first one, for once, where the
        cloud gives no other. That one opens only when nothing of the old system runs any more.
        """
        machine = await self._account.server(spec.server_id)
        if machine is None:
            raise ServerNotFound(spec.server_id)
        await progress("Wiping the server")
        await self._disarmed(spec.server_id)
        if self._account.keeps_user_data:
            await self._account.rebuild(machine, None)
            await progress("The server comes up anew")
            await self._agents.rearm(spec.server_id)
        else:
            start = self._start(spec.server_id, await self._expected(spec), memory_mb=spec.memory_mb)
            await self._account.rebuild(machine, start)
        await self._unpinned(spec.server_id)

    async def _disarmed(self, server_id: UUID) -> None:
        await self._agents.disarm(server_id)
        await self._ssh.forget(server_id)

    async def _unpinned(self, server_id: UUID) -> None:
        """Whoever read the old system's log while it was being wiped has pinned its host key again."""
        await self._ssh.forget(server_id)
        await self._ssh.logins.unpin(server_id)

    async def find_server(self, server_id: UUID) -> Server | None:
        """By its label, asked now."""
        machine = await self._account.server(server_id)
        return None if machine is None else await self._with_agent(machine)

    async def list_servers(self) -> Listing:
        """Every server with this platform's label; an answer that lacks a page raises instead of passing for the whole."""
        machines = await self._account.servers(fresh=True)
        agents = await self._agents.views([machine.server_id for machine in machines])
        beat = self._settings.heartbeat
        servers = [as_server(machine, agents.get(machine.server_id), heartbeat=beat) for machine in machines]
        return Listing(servers=servers, complete=True)

    async def holds(self, provider_ref: str) -> bool:
        """As the account says."""
        return await self._account.holds(provider_ref)

    async def last_bill(self, server_id: UUID) -> LastBill:
        """Nothing is paid for what is gone."""
        del server_id
        return LastBill()

    async def belongings(self) -> list[Belonging]:
        """As the account says."""
        return await self._account.belongings()

    async def give_back(self, belonging: Belonging) -> None:
        """As the account does."""
        await self._account.give_back(belonging)

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

    async def reboot(self, server_id: UUID) -> None:
        """The agent and OpenClaw come up with the machine."""
        machine = await self._account.server(server_id)
        if machine is None:
            raise ServerNotFound(server_id)
        if machine.state is ServerState.OFF:
            await self._account.power_on(machine)
        else:
            await self._account.reset(machine)

    async def start(self, server_id: UUID) -> Server:
        """Power on if need be, and have the agent start the gateway."""
        machine = await self._account.server(server_id)
        if machine is None:
            raise ServerNotFound(server_id)
        if machine.state is ServerState.OFF:
            await self._account.power_on(machine)
        agent = await self._agents.view(server_id)
        await self._agents.want(server_id, "running", again=agent is not None and agent.state == "failed")
        await self._carried_out(server_id, frozenset({"starting", "ready", "failed"}))
        return await self._now(server_id)

    async def stop(self, server_id: UUID, *, drain: bool) -> Server:
        """Have the agent stop the gateway; where nobody has heard of the agent for three heartbeats, the machine is powered off.

        Raises:
            ProviderUnavailable: the agent has not done it yet (at rest it learns of a wish with its next heartbeat).
        """
        del drain  # the agent's unit lets answers finish
        machine = await self._account.server(server_id)
        if machine is not None and machine.state is not ServerState.OFF:
            await self._agents.want(server_id, "stopped")
            if is_heard(await self._agents.view(server_id), heartbeat=self._settings.heartbeat):
                await self._stopped_by_agent(server_id)
            else:
                await self._account.power_off(machine)
        return await self._now(server_id)

    async def _stopped_by_agent(self, server_id: UUID) -> None:
        try:
            await self._carried_out(server_id, frozenset({"stopped"}))
        except TimeoutError:
            raise ProviderUnavailable("the server's agent has not stopped OpenClaw yet", retry_after=1) from None

    async def _carried_out(self, server_id: UUID, states: Collection[str]) -> None:
        """Wait until the agent reports one of these in answer to the newest wish; raises TimeoutError."""
        async with asyncio.timeout(_CARRIED_OUT_S):
            while True:
                agent = await self._agents.view(server_id)
                if agent is not None and agent.state in states:
                    return
                await asyncio.sleep(_LOOK_AGAIN_S)

    async def destroy(self, server_id: UUID) -> None:
        """Revoke the agent, remove the server, then what belonged to it; confirmed by looking again."""
        await self._agents.revoke(server_id)
        await self._ssh.forget(server_id)
        await self._account.remove(server_id)

    async def logs(self, server_id: UUID, *, tail: int) -> list[str]:
        """The unit's journal over SSH; the agent's last word when the server does not answer."""
        return await self._journal.last(server_id, count=tail)

    def follow_logs(self, server_id: UUID) -> AsyncIterator[str]:
        """The journal's new lines."""
        return self._journal.follow(server_id)

    async def state_size(self, server_id: UUID) -> int:
        """What tar counts there.

        Raises:
            SwitchedOff: the machine is off, and nobody can ask it.
        """
        machine = await self._account.server(server_id)
        if machine is not None and machine.state is ServerState.OFF:
            raise SwitchedOff(server_id)
        return await self._state.size(server_id)

    async def read_state(self, server_id: UUID) -> AsyncGenerator[bytes]:
        """Over SSH."""
        async with aclosing(self._state.read(server_id)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def write_state(self, server_id: UUID, chunks: AsyncIterator[bytes]) -> None:
        """Over SSH."""
        await self._state.write(server_id, chunks)

    async def observe(self, server_id: UUID) -> Server | None:
        """By a listing no older than three seconds, and the agent's last heartbeat."""
        machines = await self._account.servers()
        machine = next((machine for machine in machines if machine.server_id == server_id), None)
        return None if machine is None else await self._with_agent(machine)

    async def _now(self, server_id: UUID) -> Server:
        """After a change of ours."""
        machine = await self._account.server(server_id)
        if machine is None:
            return Server(server_id=server_id, instance_id=None, provider_ref=str(server_id), state=ServerState.GONE)
        return await self._with_agent(machine)

    async def _with_agent(self, machine: Machine) -> Server:
        agent = await self._agents.view(machine.server_id)
        server = as_server(machine, agent, heartbeat=self._settings.heartbeat)
        if machine.state is not ServerState.OFF or (agent is not None and agent.age is not None):
            return server
        trouble = await self._account.trouble(machine.ref)
        return server if trouble is None else replace(server, state=ServerState.ERROR, detail=trouble)
