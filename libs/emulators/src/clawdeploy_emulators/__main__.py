"""`python -m clawdeploy_emulators NAME --port N --state FILE`: serve a stand-in until told to stop."""

import argparse
import asyncio
from functools import partial
from pathlib import Path
from typing import Any

from clawdeploy_emulators.cloud.hollow_agent import AgentPlayer
from clawdeploy_emulators.cloud.hollow_ssh import SshMachine
from clawdeploy_emulators.cloud.machines import HollowMachine
from clawdeploy_emulators.digitalocean import DigitalOceanSettings, create_digitalocean
from clawdeploy_emulators.hetzner import HetznerSettings, create_hetzner
from clawdeploy_emulators.machines.container import ContainerMachine
from clawdeploy_emulators.machines.engine import Engine, EngineTrouble
from clawdeploy_emulators.machines.hypervisor import Hypervisor
from clawdeploy_emulators.openrouter import OpenRouterSettings, create_openrouter
from clawdeploy_emulators.ovh import OvhSettings, create_ovh
from clawdeploy_emulators.serving import add_place, secret, serve

MANAGEMENT_KEY = "OPENROUTER_MANAGEMENT_KEY"
HETZNER_TOKEN = "HCLOUD_TOKEN"  # noqa: S105  the name of a variable
OVH_VARIABLE = "OVH_APPLICATION_SECRET"
DIGITALOCEAN_TOKEN = "DIGITALOCEAN_TOKEN"  # noqa: S105  the name of a variable


def main() -> None:
    """Serve the stand-in the command line asks for."""
    options = _parser().parse_args()
    match options.emulator:
        case "hetzner":
            serve(create_hetzner(_hetzner(options)), options)
        case "digitalocean":
            serve(create_digitalocean(_digitalocean(options)), options)
        case "ovh":
            serve(create_ovh(_ovh(options)), options)
        case _:
            serve(create_openrouter(_openrouter(options)), options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clawdeploy_emulators", description=__doc__)
    emulators = parser.add_subparsers(dest="emulator", required=True, metavar="EMULATOR")
    openrouter = emulators.add_parser("openrouter", help="keys, credits, activity, models and chat completions")
    add_place(openrouter)
    openrouter.add_argument(
        "--management-key", help=f"better given as {MANAGEMENT_KEY}: arguments are visible to others"
    )
    openrouter.add_argument("--chunk-delay", type=float, default=0.015, help="seconds between pieces of a stream")
    hetzner = emulators.add_parser("hetzner", help="Hetzner Cloud: servers, keys, firewalls, catalogue")
    _add_cloud(hetzner, variable=HETZNER_TOKEN)
    hetzner.add_argument("--requests-per-hour", type=int, default=3600)
    digitalocean = emulators.add_parser("digitalocean", help="DigitalOcean: Droplets, keys, tags, firewalls, catalogue")
    _add_cloud(digitalocean, variable=DIGITALOCEAN_TOKEN)
    digitalocean.add_argument("--requests-per-minute", type=int, default=250)
    ovh = emulators.add_parser("ovh", help="OVHcloud: carts, orders, VPS, tags, keys, catalogue")
    _add_cloud(ovh, variable=OVH_VARIABLE)
    ovh.add_argument("--delivery-seconds", type=float, default=5.0, help="from a paid order to its VPS")
    ovh.add_argument("--activation-seconds", type=float, default=3.0, help="from an order until its renewal can be set")
    ovh.add_argument("--region", choices=["eu", "us"], default="eu", help="where an order tells its service differs")
    ovh.add_argument("--ssh-port", type=int, default=22, help="of hollow servers, on addresses of their own")
    return parser


def _add_cloud(parser: argparse.ArgumentParser, *, variable: str) -> None:
    add_place(parser)
    parser.add_argument("--token", help=f"better given as {variable}: arguments are visible to others")
    parser.add_argument("--action-seconds", type=float, default=2.0, help="how long one action takes")
    parser.add_argument("--visibility-seconds", type=float, default=0.0, help="how long listings lack a new server")
    parser.add_argument("--server-limit", type=int, default=300)
    parser.add_argument("--machines", choices=["hollow", "real"], default="hollow", help="what stands behind a server")
    parser.add_argument("--docker", default="unix:///var/run/docker.sock", help="the engine that runs real machines")
    parser.add_argument(
        "--tools", type=Path, help="folder whose openclaw-VERSION real machines have from the beginning"
    )
    parser.add_argument(
        "--reach",
        type=int,
        action="append",
        default=[],
        metavar="PORT",
        help="of this host's loopback, for real machines",
    )


def _cloud(options: argparse.Namespace, *, variable: str) -> dict[str, Any]:
    """What `_add_cloud` asked for."""
    return {
        "state_file": options.state,
        "token": secret(options.token, variable=variable),
        "action_seconds": options.action_seconds,
        "visibility_seconds": options.visibility_seconds,
        "server_limit": options.server_limit,
        **(_hollow(options) if options.machines == "hollow" else _real(options)),
    }


def _hollow(options: argparse.Namespace) -> dict[str, Any]:
    script = AgentPlayer(options.state.parent / f"{options.emulator}-disks")
    if options.emulator != "ovh":
        return {"machine": partial(HollowMachine, script=script)}
    machines = options.state.parent / "ovh-machines"

    def machine(name: str) -> SshMachine:
        return SshMachine(machines / name, script=script, port=options.ssh_port)

    return {"machine": machine}


def _real(options: argparse.Namespace) -> dict[str, Any]:
    engine = Engine(options.docker)
    try:
        asyncio.run(engine.check())
    except EngineTrouble as error:
        raise SystemExit(str(error)) from None
    hypervisor = Hypervisor(engine, state_file=options.state, ports=options.reach, tools=options.tools)
    return {
        "machine": partial(ContainerMachine, hypervisor=hypervisor),
        "keep_machines": hypervisor.keep,
    }


def _hetzner(options: argparse.Namespace) -> HetznerSettings:
    return HetznerSettings(
        **_cloud(options, variable=HETZNER_TOKEN),
        requests_per_hour=options.requests_per_hour,
    )


def _digitalocean(options: argparse.Namespace) -> DigitalOceanSettings:
    return DigitalOceanSettings(
        **_cloud(options, variable=DIGITALOCEAN_TOKEN),
        requests_per_minute=options.requests_per_minute,
    )


def _ovh(options: argparse.Namespace) -> OvhSettings:
    return OvhSettings(
        **_cloud(options, variable=OVH_VARIABLE),
        application_key=secret(None, variable="OVH_APPLICATION_KEY"),
        consumer_key=secret(None, variable="OVH_CONSUMER_KEY"),
        delivery_seconds=options.delivery_seconds,
        activation_seconds=options.activation_seconds,
        region=options.region,
    )


def _openrouter(options: argparse.Namespace) -> OpenRouterSettings:
    return OpenRouterSettings(
        state_file=options.state,
        management_key=secret(options.management_key, variable=MANAGEMENT_KEY),
        chunk_delay_seconds=options.chunk_delay,
    )


if __name__ == "__main__":
    main()
