"""Options that several commands share."""

from typing import Annotated

import typer

from clawdeploy_cli.commands.completing import instances

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait until it is done, showing every step.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
NameArgument = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The instance: its slug, its id, or its name.", autocompletion=instances),
]
