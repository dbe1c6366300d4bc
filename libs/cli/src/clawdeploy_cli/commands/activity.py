"""Commands about everything that happens: events, api, replay."""

# ruff: noqa: PLC0415 - imports stay inside commands: `claw --help` must not pay for what it does not run

from typing import Annotated

import typer

from clawdeploy_cli.commands.completing import services
from clawdeploy_cli.commands.options import JsonOption

PANEL = "Under the hood"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (events, api, replay):
        app.command(rich_help_panel=PANEL)(command)


def events(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as events happen.")] = False,
    after: Annotated[str | None, typer.Option(metavar="CURSOR", help="Only what came after this cursor.")] = None,
    tail: Annotated[int | None, typer.Option(min=1, max=1000, help="Only the last so many (without --follow).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many (without --follow).")] = 100,
    as_json: JsonOption = False,
) -> None:
    """List your account's events, the oldest first. With --follow and --json: one JSON object a line."""
    from clawdeploy_cli.actions.events import follow_events, list_events, list_newest

    if follow:
        follow_events(after, as_json=as_json)
    elif tail is not None:
        list_newest(after, tail=tail, as_json=as_json)
    else:
        list_events(after, limit=limit, as_json=as_json)


def api(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="GET, POST, PATCH or DELETE.")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="Such as /v1/instances.")],
    data: Annotated[
        str | None, typer.Option("--data", "-d", help="A JSON body: the text itself, @FILE, or - for standard input.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make any call to the API, signed in, and print the body of its answer."""
    from clawdeploy_cli.actions.api import call

    del as_json  # the answer is JSON anyway
    call(method, path, data=data)


def replay(
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="api, provisioner, monitor or billing.", autocompletion=services)
    ],
    as_json: JsonOption = False,
) -> None:
    """Rebuild what a service projected from events, from the log."""
    from clawdeploy_cli.actions.operator import replay_service

    replay_service(service, as_json=as_json)
