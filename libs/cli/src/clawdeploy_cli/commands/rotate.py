"""Commands that change keys: rotate sealing-key."""

# ruff: noqa: PLC0415 - imports stay inside commands: `claw --help` must not pay for what it does not run

import typer

from clawdeploy_cli.commands.options import JsonOption


def register(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer(help="Change keys without downtime.", no_args_is_help=True)
    group.callback()(_group)
    group.command("sealing-key")(sealing_key)
    app.add_typer(group, name="rotate", rich_help_panel="Under the hood")


def _group() -> None:
    """Change keys without downtime."""


def sealing_key(as_json: JsonOption = False) -> None:
    """Seal secrets to a new key from now on, and those there are again."""
    from clawdeploy_cli.actions.operator import rotate_sealing_key

    rotate_sealing_key(as_json=as_json)
