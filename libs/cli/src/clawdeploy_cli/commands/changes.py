"""Commands that change an agent: start, stop, restart, pause, resume, redeploy, cancel, destroy."""

# ruff: noqa: PLC0415 - imports stay inside commands: `claw --help` must not pay for what it does not run

from typing import Annotated

import typer

from clawdeploy_cli.commands.options import JsonOption, NameArgument, WaitOption, YesOption

InPlaceOption = Annotated[
    bool, typer.Option("--in-place", help="Keep the server of a cloud account, and wipe it: same address, same price.")
]
KeepStateOption = Annotated[
    bool,
    typer.Option(
        "--keep-state", help="Carry its sessions, memory and workspace over; without this they are lost for good."
    ),
]
PANEL = "Change an agent"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (start, stop, restart, pause, resume, redeploy, cancel, destroy):
        app.command(rich_help_panel=PANEL)(command)


def start(name: NameArgument, wait: WaitOption = False, as_json: JsonOption = False) -> None:
    """Start a stopped agent."""
    from clawdeploy_cli.actions.change import change_instance

    change_instance(name, "start", wait=wait, as_json=as_json)


def stop(name: NameArgument, wait: WaitOption = False, as_json: JsonOption = False) -> None:
    """Stop an agent; its data stay."""
    from clawdeploy_cli.actions.change import change_instance

    change_instance(name, "stop", wait=wait, as_json=as_json)


def restart(name: NameArgument, wait: WaitOption = False, as_json: JsonOption = False) -> None:
    """Stop and start an agent."""
    from clawdeploy_cli.actions.change import change_instance

    change_instance(name, "restart", wait=wait, as_json=as_json)


def redeploy(
    name: NameArgument,
    keep_state: KeepStateOption = False,
    in_place: InPlaceOption = False,
    wait: WaitOption = False,
    as_json: JsonOption = False,
) -> None:
    """Destroy an agent's server, with all it knows, and make it anew under the same id; with --keep-state it knows again what it knew."""
    from clawdeploy_cli.actions.change import change_instance

    how = {name: True for name, asked in (("in_place", in_place), ("keep_state", keep_state)) if asked}
    change_instance(name, "redeploy", wait=wait, as_json=as_json, how=how or None)


def pause(name: NameArgument, wait: WaitOption = False, as_json: JsonOption = False) -> None:
    """Shut an agent's server down at the provider, whose charge goes on."""
    from clawdeploy_cli.actions.change import change_instance

    change_instance(name, "pause", wait=wait, as_json=as_json)


def resume(name: NameArgument, wait: WaitOption = False, as_json: JsonOption = False) -> None:
    """Bring a paused agent back."""
    from clawdeploy_cli.actions.change import change_instance

    change_instance(name, "resume", wait=wait, as_json=as_json)


def cancel(name: NameArgument, wait: WaitOption = False, as_json: JsonOption = False) -> None:
    """Cancel the deployment an agent is in; what it has done is undone."""
    from clawdeploy_cli.actions.change import cancel_operation

    cancel_operation(name, wait=wait, as_json=as_json)


def destroy(name: NameArgument, yes: YesOption = False, wait: WaitOption = False, as_json: JsonOption = False) -> None:
    """Delete an agent and everything it has. Asks first."""
    from clawdeploy_cli.actions.change import destroy_instance

    destroy_instance(name, yes=yes, wait=wait, as_json=as_json)
