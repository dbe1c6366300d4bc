"""The real provisioner on a provider that does nothing: `python -m tests.bench.idle_provisioner`.

Intake, claims, leases, steps, their events and transactions are the real ones; what a step asks of the outside is answered at once.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from fastapi import FastAPI

import clawdeploy_provisioner
from clawdeploy_common.http import AsyncClient
from clawdeploy_common.service import Service, serve
from clawdeploy_provisioner.models import metadata
from clawdeploy_provisioner.operations.context import StepContext
from clawdeploy_provisioner.operations.plans import DEPLOY
from clawdeploy_provisioner.operations.runner import Runner
from clawdeploy_provisioner.operations.steps import Step
from clawdeploy_provisioner.providers.protocol import Address, Provider, Server, ServerSpec, ServerState
from clawdeploy_provisioner.reactors import build_reactors
from clawdeploy_provisioner.secret_store import SecretStore
from clawdeploy_provisioner.settings import ProvisionerSettings
from clawdeploy_provisioner.steps.machines import MachineSteps


class NoOp:
    """Every server is there as soon as it is asked for."""

    name = "process"
    visibility_lag = timedelta(0)

    async def ensure_server(self, spec: ServerSpec) -> Server:
        """It is there."""
        return _server(spec.server_id)

    async def observe(self, server_id: UUID) -> Server | None:
        """It is there."""
        return _server(server_id)

    find_server = observe

    async def ensure_installed(self, *_: Any, **__: Any) -> None:
        """It is installed."""


def _server(server_id: UUID) -> Server:
    return Server(
        server_id=server_id,
        instance_id=None,
        provider_ref=str(server_id),
        state=ServerState.RUNNING,
        address=Address(host="127.0.0.1", port=1),
    )


async def _nothing(_: StepContext) -> None:
    """What a step about keys and agents does here."""


def steps(settings: ProvisionerSettings) -> Mapping[str, Step]:
    """The machine's steps are real; the others need an agent or OpenRouter, and do nothing."""
    providers = {NoOp.name: cast("Provider", NoOp())}
    machines = MachineSteps(providers, call_s=settings.provider_call_seconds)
    return {**{name: Step(_nothing) for name in DEPLOY}, **machines.steps()}


def build(settings: ProvisionerSettings) -> tuple[Service, FastAPI]:
    """As in the real composition root, without the loops that need a provider."""
    http = AsyncClient()
    package_file = clawdeploy_provisioner.__file__ or ""
    service = Service(settings, name="provisioner", package_file=package_file, metadata=metadata, consumes=["api"])
    secrets = SecretStore(
        service.database,
        http=http,
        api_url=settings.api_url,
        tokens=service.tokens,
        encryption=settings.encryption_keys,
    )
    service.react(build_reactors(secrets))
    service.on_close(http.aclose)
    service.add_loop(
        "runner", Runner(service.database, settings, steps(settings), wakeup=service.database.events_added).run
    )
    return service, service.app(title="A provisioner that does nothing", routers=[])


if __name__ == "__main__":
    serve(*build(ProvisionerSettings()))  # pyright: ignore[reportCallIssue] - read from the environment
