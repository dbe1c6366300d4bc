"""Commands about the servers that agents run on: servers ls, add, remove, reboot."""

# ruff: noqa: PLC0415 - imports stay inside commands: `claw --help` must not pay for what it does not run

from pathlib import Path
from typing import Annotated

import typer

from clawdeploy_cli.commands.options import JsonOption, YesOption

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="What it is called here.")]
ServerArgument = Annotated[str, typer.Argument(metavar="SERVER", help="The machine's name or id.")]
AllOption = Annotated[bool, typer.Option("--all", help="With those that are destroyed.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    servers = typer.Typer(help="The servers of all accounts, for operators.", no_args_is_help=True)
    servers.command("ls")(list_servers)
    servers.command("add")(add)
    servers.command("remove")(remove)
    servers.command("reboot")(reboot)
    app.add_typer(servers, name="servers", rich_help_panel="Under the hood")


def list_servers(all_: AllOption = False, as_json: JsonOption = False) -> None:
    """List every server that is recorded, of all accounts."""
    from clawdeploy_cli.actions.servers import show_servers

    show_servers(with_destroyed=all_, as_json=as_json)


def add(
    name: NameArgument,
    *,
    address: Annotated[str, typer.Option(help="Host name or IP address.")],
    key: Annotated[
        Path,
        typer.Option(
            exists=True, dir_okay=False, help="File of the private SSH key that opens it, without a passphrase."
        ),
    ],
    region: Annotated[str, typer.Option(help="A label of your own, such as home.")] = "home",
    user: Annotated[str, typer.Option(help="Root, or somebody who may sudo without a password.")] = "root",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of its SSH server.")] = 22,
    host_key: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="File of its public host key; else the first one shown counts."),
    ] = None,
    memory_mb: Annotated[int | None, typer.Option(min=256, help="What may be placed there; else what it has.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Add a machine of your own: a home server, bare metal, a VPS from anywhere. It is looked at over SSH."""
    from clawdeploy_cli.actions.servers import NewMachine, add_machine

    machine = NewMachine(
        name=name,
        address=address,
        ssh_port=port,
        ssh_user=user,
        key=key,
        host_key=host_key,
        region=region,
        memory_mb=memory_mb,
    )
    add_machine(machine, as_json=as_json)


def remove(
    server: ServerArgument,
    lost: Annotated[
        bool, typer.Option("--lost", help="Also one that an agent has not left: what is on it stays there. Asks first.")
    ] = False,
    yes: YesOption = False,
) -> None:
    """Forget a machine of your own, on which no agent is."""
    from clawdeploy_cli.actions.servers import remove_machine
    from clawdeploy_cli.render.ask import confirm

    if lost:
        confirm(f"Forget {server}, and leave on it what is there?", yes=yes)
    remove_machine(server, lost=lost)


def reboot(
    server: Annotated[str, typer.Argument(metavar="SERVER", help="The server's id.")], yes: YesOption = False
) -> None:
    """Restart a server of a cloud account as its reset button does; its agent comes up by itself."""
    from clawdeploy_cli.actions.servers import reboot_server
    from clawdeploy_cli.render.ask import confirm

    confirm(f"Restart {server}, and interrupt what its agent does?", yes=yes)
    reboot_server(server)
