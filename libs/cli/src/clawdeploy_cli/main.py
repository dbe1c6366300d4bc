"""`claw`: the command line of ClawDeploy.

Every command's body imports what it needs when it runs, so that `claw --help` and completion answer at once.
"""

import os
import signal
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from clawdeploy_cli.commands import activity, agents, changes, dead_letters, fleet, platform, rotate, servers
from clawdeploy_cli.errors import ClawError


class ClawGroup(TyperGroup):
    """Ends with one clear sentence and an exit code that means something, whatever a command raises."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Say `claw` in every usage line, whatever the file is called that was started: in the image it is `service`."""
        return super().main(*args, **{"prog_name": "claw"} | extra)

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command; a reader that left (`claw events | head -1`) ends it quietly, as it ends other tools."""
        try:
            try:
                return self._run(ctx)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left in the buffer goes nowhere
            raise typer.Exit(128 + signal.SIGPIPE) from None

    def _run(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ClawError as error:
            from clawdeploy_cli.render.console import say_error  # noqa: PLC0415 - only errors need it

            say_error(error)
            raise typer.Exit(error.exit_code) from None


app = typer.Typer(
    cls=ClawGroup,
    name="claw",
    help="Your own OpenClaw in one command: run a ClawDeploy platform, deploy agents to it, talk to them.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 not running or not ready, 5 refused, 130 Ctrl-C.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,  # locals hold keys
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - only this option needs it

        sys.stdout.write(f"claw {version('clawdeploy-cli')}\n")
        raise typer.Exit


@app.callback()
def claw(
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


for module in (platform, agents, changes, activity, dead_letters, fleet, servers, rotate):
    module.register(app)
