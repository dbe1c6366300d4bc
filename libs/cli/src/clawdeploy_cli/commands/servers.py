"""Commands about the servers that agents run on: servers ls."""

# ruff: noqa: PLC0415 - imports stay inside commands: `claw --help` must not pay for what it does not run

from typing import Annotated

import typer

from clawdeploy_cli.commands.options import JsonOption

AllOption = Annotated[bool, typer.Option("--all", help="With those that are destroyed.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    servers = typer.Typer(help="The servers of all accounts, for operators.", no_args_is_help=True)
    servers.command("ls")(list_servers)
    app.add_typer(servers, name="servers", rich_help_panel="Under the hood")


def list_servers(all_: AllOption = False, as_json: JsonOption = False) -> None:
    """List every server that is recorded, of all accounts."""
    from clawdeploy_cli.actions.servers import show_servers

    show_servers(with_destroyed=all_, as_json=as_json)
