"""Commands about one's agents: deploy, ls, show, operations, logs, chat, cost."""

# ruff: noqa: PLC0415 - imports stay inside commands: `claw --help` must not pay for what it does not run

from typing import Annotated

import typer

from clawdeploy_cli.commands.options import JsonOption, NameArgument, WaitOption

PANEL = "Your agents"
DEFAULT_MODEL, DEFAULT_CHANNEL = "gpt-5.2", "telegram"

ModelOption = Annotated[str, typer.Option(help="The language model; `claw api GET /v1/catalogue/models` lists them.")]
ChannelOption = Annotated[str, typer.Option(help="Where it talks to people; without its token it waits for one.")]
ProviderOption = Annotated[str | None, typer.Option(help="What it runs on.")]
PlanOption = Annotated[str | None, typer.Option(help="Its size.")]
RegionOption = Annotated[str | None, typer.Option(help="Where it runs.")]
SecretOption = Annotated[
    list[str] | None,
    typer.Option(
        "--secret-from-env",
        metavar="NAME=ENVVAR",
        help="A secret read from an environment variable: bot_token=TELEGRAM_TOKEN, api_key.openrouter=MY_KEY.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("ls", rich_help_panel=PANEL)(list_instances)
    for command in (deploy, show, operations, chat, logs, cost):
        app.command(rich_help_panel=PANEL)(command)


def deploy(  # noqa: PLR0917 - typer declares options this way; nobody calls it by position
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called.")],
    model: ModelOption = DEFAULT_MODEL,
    channel: ChannelOption = DEFAULT_CHANNEL,
    provider: ProviderOption = None,
    plan: PlanOption = None,
    region: RegionOption = None,
    secret_from_env: SecretOption = None,
    wait: WaitOption = False,
    as_json: JsonOption = False,
) -> None:
    """Deploy an agent of your own."""
    from clawdeploy_cli.actions.deploy import deploy_instance

    wanted = {"name": name, "model": model, "channel": channel, "provider": provider, "plan": plan, "region": region}
    deploy_instance(wanted, secrets=secret_from_env or [], wait=wait, as_json=as_json)


def list_instances(as_json: JsonOption = False) -> None:
    """List your agents."""
    from clawdeploy_cli.actions.show import list_all

    list_all(as_json=as_json)


def show(name: NameArgument, as_json: JsonOption = False) -> None:
    """Show everything about an agent."""
    from clawdeploy_cli.actions.show import show_one

    show_one(name, as_json=as_json)


def operations(name: NameArgument, as_json: JsonOption = False) -> None:
    """List what was done with an agent, the newest first."""
    from clawdeploy_cli.actions.show import list_operations

    list_operations(name, as_json=as_json)


def chat(
    name: NameArgument,
    message: Annotated[
        str | None, typer.Argument(metavar="MESSAGE", help="What to say; a conversation begins when there is none.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Talk to an agent. Its answer appears as it is written."""
    from clawdeploy_cli.actions.chat import converse, say_once

    if message is None:
        converse(name, as_json=as_json)
    else:
        say_once(name, message, as_json=as_json)


def logs(
    name: NameArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as new lines come.")] = False,
    tail: Annotated[int, typer.Option(min=1, max=10000, help="How many lines back.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Print what an agent wrote to its log."""
    from clawdeploy_cli.actions.logs import follow_logs, print_logs

    if follow:
        follow_logs(name, tail=tail, as_json=as_json)
    else:
        print_logs(name, tail=tail, as_json=as_json)


def cost(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One agent only: slug, id or name.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what an agent, or everything, has cost so far."""
    from clawdeploy_cli.actions.cost import show_cost

    show_cost(name, as_json=as_json)
