"""The provisioner, put together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from fastapi import FastAPI

import clawdeploy_provisioner
from clawdeploy_common.database import Database
from clawdeploy_common.http import AsyncClient, Limits
from clawdeploy_common.service import Service
from clawdeploy_common.telemetry import traced
from clawdeploy_provisioner.agents import Agents
from clawdeploy_provisioner.clouds import Clouds, max_hourly, surveyors
from clawdeploy_provisioner.debts import DebtCollector
from clawdeploy_provisioner.endpoints.agents import AgentPlane
from clawdeploy_provisioner.endpoints.clouds import clouds_router
from clawdeploy_provisioner.endpoints.fleet import Limit, fleet_router
from clawdeploy_provisioner.endpoints.on_server import on_server_router
from clawdeploy_provisioner.endpoints.operators import operator_router
from clawdeploy_provisioner.endpoints.sealing import sealing_router
from clawdeploy_provisioner.endpoints.servers import servers_router
from clawdeploy_provisioner.inventory import Inventory
from clawdeploy_provisioner.kept_state.archive import KeptStates
from clawdeploy_provisioner.key_sweep import KeySweep
from clawdeploy_provisioner.llm_keys import DELETE_JOB, delete_job
from clawdeploy_provisioner.metrics import watch_disk
from clawdeploy_provisioner.models import metadata
from clawdeploy_provisioner.on_server.desk import AgentDesk
from clawdeploy_provisioner.on_server.registry import AgentRegistry
from clawdeploy_provisioner.on_server.ssh.logins import Logins
from clawdeploy_provisioner.on_server.ssh.sessions import SshSessions
from clawdeploy_provisioner.on_server.ssh.tunnels import TunnelTransport
from clawdeploy_provisioner.on_server.waiting import WaitingAgents
from clawdeploy_provisioner.openrouter import OpenRouterKeys
from clawdeploy_provisioner.operations.runner import Runner
from clawdeploy_provisioner.operations.steps import Step
from clawdeploy_provisioner.orphans import Orphans
from clawdeploy_provisioner.providers.docker.provider import DockerProvider
from clawdeploy_provisioner.providers.docker.settings import DockerSettings
from clawdeploy_provisioner.providers.measured import measured
from clawdeploy_provisioner.providers.own.checking import Checking
from clawdeploy_provisioner.providers.own.machines import OwnMachines
from clawdeploy_provisioner.providers.own.provider import NAME as OWN
from clawdeploy_provisioner.providers.own.register import Register
from clawdeploy_provisioner.providers.process.provider import ProcessProvider
from clawdeploy_provisioner.providers.process.settings import ProcessSettings
from clawdeploy_provisioner.providers.protocol import Provider
from clawdeploy_provisioner.reactors import build_reactors
from clawdeploy_provisioner.resealing import Resealing
from clawdeploy_provisioner.rewrapping import Rewrapping
from clawdeploy_provisioner.secret_store import SecretStore
from clawdeploy_provisioner.settings import ProvisionerSettings
from clawdeploy_provisioner.steps.agents import AgentSteps
from clawdeploy_provisioner.steps.keys import KeySteps
from clawdeploy_provisioner.steps.machines import MachineSteps
from clawdeploy_provisioner.steps.states import MEGABYTE, StateSteps
from clawdeploy_provisioner.sweep import Sweep

_CONNECTIONS = Limits(max_connections=200, max_keepalive_connections=50)


def create_providers(
    settings: ProvisionerSettings, http: AsyncClient, *, database: Database, secrets: SecretStore, ssh: SshSessions
) -> dict[str, Provider]:
    """The providers that are switched on, by name, and the operator's own machines.

    Raises ValueError for an unknown one, or one without its token.
    """
    agents = AgentRegistry(database, secrets)
    machines = OwnMachines(database, secrets)
    clouds = Clouds(settings=settings, http=http, database=database, agents=agents, ssh=ssh, machines=machines)
    makers: dict[str, Callable[[], Provider]] = {
        "process": lambda: ProcessProvider(_process_settings(settings), http=http),
        "docker": lambda: DockerProvider(_docker_settings(settings), http=http),
        **clouds.makers,
    }
    unknown = [name for name in settings.provider_names if name not in makers]
    if unknown:
        raise ValueError(f"unknown providers {', '.join(unknown)}; known are {', '.join(makers)}")
    return {name: makers[name]() for name in dict.fromkeys([*settings.provider_names, OWN])}


def _docker_settings(settings: ProvisionerSettings) -> DockerSettings:
    home = Path(settings.instances_dir).absolute() / "docker"
    return DockerSettings(
        hosts=settings.docker_engines,
        home=home,
        image=settings.openclaw_image,
        port_first=settings.docker_port_first,
        port_last=settings.docker_port_last,
    )


def _process_settings(settings: ProvisionerSettings) -> ProcessSettings:
    return ProcessSettings.located(
        instances_dir=Path(settings.instances_dir),
        tools_dir=Path(settings.tools_dir),
        port_first=settings.process_port_first,
        port_count=settings.process_port_count,
    )


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the provisioner's loops and routes are made of."""

    settings: ProvisionerSettings
    service: Service
    providers: Mapping[str, Provider]
    docker: DockerProvider | None
    secrets: SecretStore
    keys: OpenRouterKeys
    agents: Agents
    resealing: Resealing

    @property
    def grace(self) -> timedelta:
        """How long a disabled LLM key waits for its last reading."""
        return timedelta(seconds=self.settings.llm_key_grace_seconds)


def build(
    settings: ProvisionerSettings, *, http: AsyncClient | None = None, providers: Mapping[str, Provider] | None = None
) -> tuple[Service, FastAPI]:
    """The service and its app; ``http`` and ``providers`` can be given by tests."""
    http = traced(http or AsyncClient(limits=_CONNECTIONS))
    service = Service(
        settings,
        name="provisioner",
        package_file=clawdeploy_provisioner.__file__ or "",
        metadata=metadata,
        consumes=["api"],
    )
    parts = _parts(settings, service, http, providers)
    service.react(build_reactors(parts.secrets))
    if parts.docker is not None:
        service.on_close(parts.docker.close)
        service.add_loop("docker-image", parts.docker.keep_image)
    service.on_close(http.aclose)
    _add_loops(parts)
    watch_disk(Path(settings.instances_dir), volume="instances")
    register = Register(service.database, parts.secrets)
    plane = AgentPlane(service.database, parts.providers, parts.agents, stopping=service.stopping)
    routers = [
        plane.router(),
        operator_router(service.database, parts.docker, register),
        servers_router(service.database, register, parts.providers),
        sealing_router(service.database, parts.resealing),
        on_server_router(_desk(parts)),
        fleet_router(service.database, emulated=settings.emulated, limits=_limits(parts)),
        clouds_router(surveyors(settings, http, service.database), emulated=settings.emulated),
    ]
    return service, service.app(title="ClawDeploy provisioner", routers=routers, openapi_url=None)


def _parts(
    settings: ProvisionerSettings, service: Service, http: AsyncClient, providers: Mapping[str, Provider] | None
) -> Parts:
    secrets = SecretStore(
        service.database,
        http=http,
        api_url=settings.api_url,
        tokens=service.tokens,
        encryption=settings.encryption_keys,
    )
    ssh = SshSessions(Logins(service.database, secrets))
    tunnels = traced(AsyncClient(transport=TunnelTransport(ssh), trust_env=False))
    service.on_close(tunnels.aclose)
    service.on_close(ssh.close)
    chosen = (
        providers
        if providers is not None
        else create_providers(settings, http, database=service.database, secrets=secrets, ssh=ssh)
    )
    return Parts(
        settings=settings,
        service=service,
        providers={name: measured(provider) for name, provider in chosen.items()},
        docker=next((provider for provider in chosen.values() if isinstance(provider, DockerProvider)), None),
        secrets=secrets,
        keys=OpenRouterKeys(
            http, base_url=settings.openrouter_base_url, management_key=settings.openrouter_management_key
        ),
        agents=Agents(service.database, secrets, http=http, tunnels=tunnels),
        resealing=Resealing(
            service.database,
            secrets,
            seconds=settings.sealing_round_seconds,
            max_age=timedelta(days=settings.sealing_key_days),
            grace=timedelta(seconds=settings.sealing_key_grace_seconds),
        ),
    )


def _limits(parts: Parts) -> dict[str, Limit]:
    """The most a server may cost; nothing where the machines are the operator's own."""
    limits = {name: Limit(amount=amount) for name, amount in max_hourly(parts.settings).items()}
    limits["ovh"] = Limit(amount=parts.settings.ovh_max_monthly, monthly=True)
    return {name: limits.get(name, Limit()) for name in parts.providers}


def _desk(parts: Parts) -> AgentDesk:
    settings, service = parts.settings, parts.service
    waiting = WaitingAgents(service.database, service.stopping)
    service.add_loop("waiting-agents", waiting.run)
    return AgentDesk(
        service.database,
        parts.secrets,
        waiting=waiting,
        rest=timedelta(seconds=settings.agent_heartbeat_seconds),
        busy=timedelta(seconds=settings.agent_busy_heartbeat_seconds),
    )


def _steps(parts: Parts) -> dict[str, Step]:
    settings = parts.settings
    machines = MachineSteps(parts.providers, call_s=settings.provider_call_seconds)
    agents = AgentSteps(
        machines,
        parts.agents,
        parts.secrets,
        llm_base_url=settings.openrouter_base_url,
        origin=settings.public_url,
        start_s=settings.start_seconds,
        check_s=settings.check_seconds,
    )
    keys = KeySteps(parts.keys, parts.secrets, call_s=settings.llm_call_seconds, grace=parts.grace)
    states = StateSteps(
        machines,
        KeptStates(settings.encryption_keys),
        start=agents.start,
        most=settings.kept_state_max_mb * MEGABYTE,
    )
    return {**machines.steps(), **keys.steps(), **agents.steps(), **states.steps()}


def _add_loops(parts: Parts) -> None:
    service, database, settings = parts.service, parts.service.database, parts.settings
    rewrapping = Rewrapping(database, settings.encryption_keys)
    service.add_check(rewrapping.check)
    service.add_loop("rewrapping", rewrapping.run)
    service.add_loop("own-servers", Checking(OwnMachines(database, parts.secrets)).run)
    service.add_loop("resealing", parts.resealing.run)
    service.add_jobs({DELETE_JOB: delete_job(database, parts.keys)})
    service.add_loop("runner", Runner(database, settings, _steps(parts), wakeup=database.events_added).run)
    orphans = Orphans(database, age=settings.orphan_age)
    inventory = Inventory(
        database,
        parts.providers,
        sweep=Sweep(database, orphans),
        seconds=settings.inventory_seconds,
        intervals=dict.fromkeys([*settings.cloud_names, OWN], settings.cloud_inventory_seconds),
    )
    service.add_loop("inventory", inventory.run)
    if settings.openrouter_management_key is not None:
        sweep = KeySweep(database, parts.keys, orphans=orphans, seconds=settings.key_sweep_seconds)
        service.add_loop("key-sweep", sweep.run)
    collector = DebtCollector(database, providers=parts.providers, keys=parts.keys, grace=parts.grace)
    service.add_loop("debts", collector.run)


def create_app(settings: ProvisionerSettings | None = None) -> FastAPI:
    """The app, for an ASGI server; nothing connects before it starts."""
    return build(settings or ProvisionerSettings())[1]  # pyright: ignore[reportCallIssue] - read from the environment
