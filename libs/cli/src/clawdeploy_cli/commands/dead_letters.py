"""Commands about events a service could not apply: dead-letters list, retry, drop."""

# ruff: noqa: PLC0415 - imports stay inside commands: `claw --help` must not pay for what it does not run

from typing import Annotated

import typer

from clawdeploy_cli.commands.completing import services
from clawdeploy_cli.commands.options import JsonOption, YesOption

ServiceArgument = Annotated[
    str, typer.Argument(metavar="SERVICE", help="The service that parked it.", autocompletion=services)
]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The dead letter's id.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    letters = typer.Typer(help="Events that a service could not apply.", no_args_is_help=True)
    letters.command("list")(list_letters)
    letters.command()(retry)
    letters.command()(drop)
    app.add_typer(letters, name="dead-letters", rich_help_panel="Under the hood")


def list_letters(
    service: Annotated[str | None, typer.Option(help="Only this service's.")] = None, as_json: JsonOption = False
) -> None:
    """List them."""
    from clawdeploy_cli.actions.operator import list_dead_letters

    list_dead_letters(service, as_json=as_json)


def retry(service: ServiceArgument, letter_id: IdArgument, as_json: JsonOption = False) -> None:
    """Try to apply one again."""
    from clawdeploy_cli.actions.operator import settle_dead_letter

    settle_dead_letter(service, letter_id, verb="retry", as_json=as_json)


def drop(service: ServiceArgument, letter_id: IdArgument, yes: YesOption = False, as_json: JsonOption = False) -> None:
    """Give one up for good, so that the events behind it go on. Asks first."""
    from clawdeploy_cli.actions.operator import settle_dead_letter
    from clawdeploy_cli.render.ask import confirm

    confirm(f"Give up event {letter_id} of {service} for good?", yes=yes)
    settle_dead_letter(service, letter_id, verb="drop", as_json=as_json)
