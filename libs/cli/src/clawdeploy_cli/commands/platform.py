"""Commands about the platform itself: up, down, clean, status, doctor, demo, prepare-database, auth."""

# ruff: noqa: PLC0415 - imports stay inside commands: `claw --help` must not pay for what it does not run

import sys
from typing import Annotated

import typer

from clawdeploy_cli.commands.options import JsonOption, YesOption

PANEL = "The platform"
ForegroundOption = Annotated[
    bool, typer.Option("--foreground", "-f", help="Stay here; Ctrl-C (or SIGTERM) stops everything and keeps the data.")
]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (up, down, status, demo, doctor, clean, prepare_database):
        app.command(rich_help_panel=PANEL)(command)
    auth = typer.Typer(help="Sign-in of this command line.", no_args_is_help=True)
    auth.command()(token)
    app.add_typer(auth, name="auth", rich_help_panel=PANEL)


def up(foreground: ForegroundOption = False, as_json: JsonOption = False) -> None:
    """Start the platform; returns when everything is ready and leaves it running."""
    from clawdeploy_cli.actions.platform import bring_up

    bring_up(foreground=foreground, as_json=as_json)


def down(as_json: JsonOption = False) -> None:
    """Stop the platform and its agents in order. Data stay; agents that ran come back with the next `claw up`."""
    from clawdeploy_cli.actions.platform import bring_down

    bring_down(as_json=as_json)


def status(as_json: JsonOption = False) -> None:
    """Show every process of the platform, engines included. Exit code 4 when it is not running or not ready."""
    from clawdeploy_cli.actions.platform import show_status

    show_status(as_json=as_json)


def clean(yes: YesOption = False, as_json: JsonOption = False) -> None:
    """Stop the platform and delete this home: agents, data, logs, secrets, installed tools."""
    from clawdeploy_cli.actions.clean import clean_home

    clean_home(yes=yes, as_json=as_json)


def doctor(as_json: JsonOption = False) -> None:
    """Say what is missing on this machine and how to get it. Exit code 1 when something is."""
    from clawdeploy_cli.actions.doctor import examine

    examine(as_json=as_json)


def demo() -> None:
    """Start the platform, deploy an agent, talk to it, show what it cost; stay until Ctrl-C."""
    from clawdeploy_cli.actions.demo import run_demo

    run_demo()


def prepare_database(as_json: JsonOption = False) -> None:
    """Make, or mend, every service's roles and schema in DATABASE_URL; for platforms that `claw up` does not start.

    The address is an administrator's, and names the database. Each role's password is read from `<ROLE>_DB_PASSWORD`:
    API, API_WEB, PROVISIONER, PROVISIONER_WEB, MONITOR, MONITOR_WEB, BILLING, BILLING_WEB.
    """
    from clawdeploy_cli.actions.prepare import prepare

    prepare(as_json=as_json)


def token(as_json: JsonOption = False) -> None:
    """Print the API key this command line signs in with."""
    from clawdeploy_cli.client.connect import api_key, platform_url
    from clawdeploy_cli.render.console import print_json
    from clawdeploy_cli.settings import load_settings

    settings = load_settings()
    key = api_key(settings)
    if as_json:
        print_json({"api_key": key, "url": platform_url(settings)})
    else:
        sys.stdout.write(f"{key}\n")
