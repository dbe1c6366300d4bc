"""`claw demo`: from nothing to an agent that answers, with every step shown."""

import time
from datetime import datetime
from typing import Any, cast

from clawdeploy_cli import control
from clawdeploy_cli.actions.await_change import follow, raise_unless_succeeded
from clawdeploy_cli.actions.chat import chat_body, chat_path, stream_answer, write_answer
from clawdeploy_cli.actions.cost import cost_path, print_cost
from clawdeploy_cli.actions.install import Installation
from clawdeploy_cli.actions.platform import STAND_IN_NOTICE, say_stopping, stay, stop_shown, terminable
from clawdeploy_cli.actions.show import status_shown
from clawdeploy_cli.client.connect import connect
from clawdeploy_cli.client.http import ApiClient, Json
from clawdeploy_cli.client.operations import active_operation
from clawdeploy_cli.commands.agents import DEFAULT_CHANNEL, DEFAULT_MODEL
from clawdeploy_cli.errors import ClawError, NotReady
from clawdeploy_cli.home import Home, open_home
from clawdeploy_cli.render.console import print_line, say
from clawdeploy_cli.render.platform import PlatformDisplay
from clawdeploy_cli.render.waiting import waiting
from clawdeploy_cli.render.words import duration, instant
from clawdeploy_cli.settings import load_settings
from clawdeploy_cli.supervisor.state import PlatformRecord

NAME = "demo"
QUESTION = "Hello! Who are you, in one sentence?"
RUNNING_WITHIN_S, ANSWER_WITHIN_S, COST_WITHIN_S = 150.0, 150.0, 60.0
POLL_S = 1.0


def run_demo() -> None:
    """Start everything, deploy, chat, show the cost, and stay until Ctrl-C; what was started is stopped then."""
    began = time.monotonic()
    settings = load_settings()
    home = open_home(settings.home)
    with terminable():
        started = control.start(settings, home=home, foreground=True, on_stopping=say_stopping)
        try:
            record = _await_platform(home, started=started)
            _play(record, home, began=began)
        except BaseException:
            if started:
                stop_shown(home)
            raise
        if started:
            stay(home)


def _await_platform(home: Home, *, started: bool) -> PlatformRecord:
    title = "Starting the platform" if started else "The platform is running already"
    installation = Installation(home)
    try:
        with PlatformDisplay(title) as display:

            def show(record: PlatformRecord | None) -> None:
                display.update(record)
                done = installation.is_done  # settles the line
                display.note("OpenClaw", installation.line, done=done)

            record = control.await_ready(home, on_progress=show)
            while not installation.is_done:
                show(record)
                time.sleep(control.POLL_S)
            show(record)
            return record
    finally:
        installation.stop()


def _play(record: PlatformRecord, home: Home, *, began: float) -> None:
    with connect() as api:
        if record.stand_in:
            say(STAND_IN_NOTICE, style="yellow")
        instance = _ensure_running(api, since=record.started_at)
        before = _llm_micros(api.get(cost_path(instance)))
        print_line(f"\nYou: {QUESTION}", style="bold")
        print_line(f"{NAME}:", style="bold")
        _ask(api, instance)
        print_line(f"\nFrom start to answer: {duration(time.monotonic() - began)}\n", style="bold green")
        print_cost(_await_cost(api, instance, before=before))
        _say_where_next(record, home)


def _ensure_running(api: ApiClient, *, since: datetime) -> Json:
    """The demo's agent, deployed when there is none, started when it is stopped."""
    instance = _find(api)
    if instance is None:
        body = {"name": NAME, "model": DEFAULT_MODEL, "channel": DEFAULT_CHANNEL}
        instance = api.post("/v1/instances", body)
    elif active_operation(instance) is None and instance["status"] in {"stopped", "error", "paused"}:
        say(f"{NAME} is {instance['status']}: {'starting' if instance['status'] != 'error' else 'redeploying'} it.")
        instance = api.post(f"/v1/instances/{instance['id']}/{_cure(instance)}")
    else:
        again = "" if _is_well(instance, since) else ": it is starting again …"
        say(f"Found the agent {NAME} of the last time{again or '.'}")
    operation_id = active_operation(instance)
    if operation_id is not None:
        kind = str(cast("Json", instance["operation"]).get("kind") or "deploy")
        raise_unless_succeeded(follow(api, operation_id, title=f"{kind.capitalize()} {NAME}"), instance)
    return _await_running(api, str(instance["id"]), since=since)


def _find(api: ApiClient) -> Json | None:
    return next((item for item in api.pages("/v1/instances", slug=NAME) if item["status"] != "deleted"), None)


def _cure(instance: Json) -> str:
    return {"stopped": "start", "paused": "resume", "error": "redeploy"}[str(instance["status"])]


def _await_running(api: ApiClient, instance_id: str, *, since: datetime) -> Json:
    """Wait until the agent was seen running after the platform started."""
    deadline = time.monotonic() + RUNNING_WITHIN_S
    with waiting(f"Waiting for {NAME} to run"):
        while time.monotonic() < deadline:
            instance = api.get(f"/v1/instances/{instance_id}")
            if instance["status"] == "running" and _seen_since(instance, since):
                return instance
            time.sleep(POLL_S)
    raise NotReady(f"{NAME} was not running within {RUNNING_WITHIN_S:.0f} s.", hint=f"See: claw show {NAME}")


def _seen_since(instance: Json, since: datetime) -> bool:
    observed: Any = instance.get("observed_at") or instance.get("deployed_at")
    return bool(observed) and instant(observed) >= since


def _is_well(instance: Json, since: datetime) -> bool:
    return status_shown(instance) == "running" and _seen_since(instance, since)


def _ask(api: ApiClient, instance: Json) -> None:
    """Chat; an agent that just came back may need a moment."""
    deadline = time.monotonic() + ANSWER_WITHIN_S
    body = chat_body(QUESTION)
    told = False
    with waiting("Waiting for the answer") as end_waiting:
        while True:
            try:
                write_answer(stream_answer(api, chat_path(instance), body), before=end_waiting)
            except ClawError:
                if time.monotonic() > deadline:
                    raise
                if not told:
                    say(f"{NAME} does not answer yet, it is starting: trying again …")
                told = True
                time.sleep(POLL_S)
            else:
                return


def _await_cost(api: ApiClient, instance: Json, *, before: int) -> Json:
    """What the agent cost so far, once the answer just given is in it (a minute at most)."""
    path = cost_path(instance)
    deadline = time.monotonic() + COST_WITHIN_S
    with waiting("Waiting for the answer's cost"):
        while _llm_micros(cost := api.get(path)) <= before and time.monotonic() < deadline:
            time.sleep(POLL_S)
    return cost


def _llm_micros(cost: Json) -> int:
    return sum(int(line["cost_micros"]) for line in cast("list[Json]", cost["lines"]) if line["kind"] == "llm")


def _say_where_next(record: PlatformRecord, home: Home) -> None:
    print_line(f"\nAddress   {record.url}   (API: {record.url}/v1)")
    print_line(f"Home      {home.path}")
    print_line("Try, in another terminal (.venv/bin/claw):", style="bold")
    for command, what in (
        (f"claw chat {NAME}", "talk to it"),
        ("claw deploy another --wait", "deploy one more"),
        ("claw status", "every process of the platform"),
        ("claw events --follow", "everything that happens, as it happens"),
        ("claw cost", "what it all costs"),
        (f"claw destroy {NAME}", "and nothing of it is left"),
    ):
        print_line(f"  {command:<28}{what}")
