"""Commands about machines everywhere: fleet."""

# ruff: noqa: PLC0415 - imports stay inside commands: `claw --help` must not pay for what it does not run

import typer

from clawdeploy_cli.commands.options import JsonOption


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(rich_help_panel="Under the hood")(fleet)


def fleet(as_json: JsonOption = False) -> None:
    """Show every provider: its servers, what must still be removed, what nobody owned."""
    from clawdeploy_cli.actions.operator import show_fleet

    show_fleet(as_json=as_json)
