"""The supervisor's own process: `python -m clawdeploy_cli.supervisor`, started by `claw up` (or by systemd).

Settings come from the environment and `.env`, as for every `claw` command. SIGTERM and SIGINT end the platform in order.
"""

import asyncio
import os
import signal
import sys

import structlog

from clawdeploy_cli.home import Home, open_home
from clawdeploy_cli.ports import hold
from clawdeploy_cli.processes import identify
from clawdeploy_cli.settings import CliSettings, load_settings
from clawdeploy_cli.supervisor.instances import park_instances
from clawdeploy_cli.supervisor.lock import HomeIsSupervised, HomeLock
from clawdeploy_cli.supervisor.plan import plan_platform
from clawdeploy_cli.supervisor.preflight import make_ready
from clawdeploy_cli.supervisor.supervisor import Supervisor
from clawdeploy_cli.supervisor.targets import write_targets

log = structlog.get_logger()


def main() -> int:
    """Supervise the platform of this home until told to stop; 1 when another supervisor has it."""
    structlog.configure(
        processors=[structlog.processors.TimeStamper(fmt="iso", utc=True), structlog.processors.JSONRenderer()]
    )
    settings = load_settings()
    home = open_home(settings.home)
    home.ensure()
    lock = HomeLock(home.lock_file)
    try:
        lock.acquire()
    except HomeIsSupervised:
        log.warning("supervisor.refused", reason="another supervisor holds this home")
        return 1
    asyncio.run(_supervise(settings, home))
    return 0


async def _supervise(settings: CliSettings, home: Home) -> None:
    ports, secrets = make_ready(home, settings)
    plan = plan_platform(settings, home=home, ports=ports, secrets=secrets)
    write_targets(home, plan.specs)
    identity = identify(os.getpid())
    assert identity is not None  # noqa: S101 - we are running

    async def end_instances() -> None:
        count = await asyncio.to_thread(park_instances, home)
        log.info("instances.stopped", count=count)

    supervisor = Supervisor(
        plan.specs,
        state_file=home.state_file,
        identity=identity,
        url=plan.url,
        stand_in=plan.stand_in,
        between=end_instances,
    )
    with hold(ports.claim):
        await supervisor.run(_stop_signal())


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


if __name__ == "__main__":
    sys.exit(main())
