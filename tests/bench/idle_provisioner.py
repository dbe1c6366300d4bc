"""The real provisioner on a provider that does nothing: `python -m tests.bench.idle_provisioner`.

Intake, claims, leases, the first step, its events and transactions are the real ones. What comes after it waits for the outside, as
real steps do nearly all the time: otherwise 100 deployments a second would be 1,100 steps a second, and those be measured.
"""

from collections.abc import Mapping
from typing import cast

from fastapi import FastAPI

import clawdeploy_provisioner
from clawdeploy_common.http import AsyncClient
from clawdeploy_common.service import Service, serve
from clawdeploy_provisioner.models import metadata
from clawdeploy_provisioner.operations.context import StepContext
from clawdeploy_provisioner.operations.plans import DEPLOY
from clawdeploy_provisioner.operations.runner import Runner
from clawdeploy_provisioner.operations.steps import Step
from clawdeploy_provisioner.providers.protocol import Provider
from clawdeploy_provisioner.reactors import build_reactors
from clawdeploy_provisioner.secret_store import SecretStore
from clawdeploy_provisioner.settings import ProvisionerSettings
from clawdeploy_provisioner.steps.machines import MachineSteps

OUTSIDE_S = 600.0


async def _outside(context: StepContext) -> None:
    """What a step waits for."""
    await context.sleep(OUTSIDE_S)


def steps(settings: ProvisionerSettings) -> Mapping[str, Step]:
    """The first step is the real one; the second waits."""
    machines = MachineSteps({"process": cast("Provider", object())}, call_s=settings.provider_call_seconds).steps()
    return {name: machines[name] if name == DEPLOY[0] else Step(_outside) for name in DEPLOY}


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
