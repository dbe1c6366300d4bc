"""Talking to an agent."""

import contextlib
import importlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from clawdeploy_cli.client.connect import connect
from clawdeploy_cli.client.http import ApiClient, Json
from clawdeploy_cli.client.instances import find_instance
from clawdeploy_cli.client.sse import parse_events
from clawdeploy_cli.errors import ClawError, Failed, Refused, UsageProblem
from clawdeploy_cli.render.console import clean, print_json, say, say_error
from clawdeploy_cli.render.waiting import waiting

CONVERSATION = "claw"
"""The OpenAI field `user`: OpenClaw keeps one conversation per user, and is sent the new message only."""
_SILENT = {
    "stopped": "Start it with: claw start ",
    "paused": "Resume it with: claw resume ",
    "error": "Deploy it again with: claw redeploy ",
    "pending": "It is being deployed; see: claw show ",
    "creating": "It is being deployed; see: claw show ",
    "deleting": "It is going away; see: claw show ",
}


def say_once(name: str, message: str, *, as_json: bool) -> None:
    """`claw chat NAME MESSAGE`: the next message of this command line's conversation with the agent.

    Raises:
        UsageProblem: there is nothing in the message.
    """
    if not message.strip():
        raise UsageProblem("MESSAGE is empty.")
    body = chat_body(message)
    with connect() as api:
        path = chat_path(_find_talking(api, name))
        if as_json:
            print_json(api.post(path, body))
        else:
            print_answer(api, path, body)


def converse(name: str, *, as_json: bool) -> None:
    """`claw chat NAME`: a conversation until Ctrl-D, or Ctrl-C at the prompt; Ctrl-C ends an answer.

    Raises:
        UsageProblem: a conversation has no single JSON answer.
    """
    if as_json:
        raise UsageProblem("--json needs a MESSAGE.")
    with contextlib.suppress(ImportError):
        importlib.import_module("readline")  # makes input() editable, where Python has it
    with connect() as api:
        instance = _find_talking(api, name)
        say(f"Talking to {instance['name']}. Ctrl-D leaves.", style="bright_black")
        _converse(api, instance)


def _find_talking(api: ApiClient, name: str) -> Json:
    instance = find_instance(api, name)
    if instance["status"] in _SILENT:
        raise Refused(f"{instance['name']} is {instance['status']}.", hint=_SILENT[str(instance["status"])] + name)
    return instance


def _converse(api: ApiClient, instance: Json) -> None:
    for line in _lines():
        try:
            print_answer(api, chat_path(instance), chat_body(line))
        except ClawError as error:
            say_error(error)
        except KeyboardInterrupt:
            sys.stdout.write("\n")  # whatever was written of it ends here
            say("The answer was ended. Ctrl-D leaves.", style="bright_black")


def chat_body(message: str) -> Json:
    """A message that goes on where the last one ended."""
    return {"user": CONVERSATION, "messages": [{"role": "user", "content": message}]}


def print_answer(api: ApiClient, path: str, body: Json) -> None:
    """Print an answer piece by piece as it is written."""
    with waiting("Waiting for the answer") as end_waiting:
        write_answer(stream_answer(api, path, body), before=end_waiting)


def write_answer(pieces: Iterable[str], *, before: Callable[[], None]) -> None:
    """Print pieces as they come, calling `before` ahead of each."""
    for piece in pieces:
        before()
        sys.stdout.write(clean(piece))
        sys.stdout.flush()
    before()
    sys.stdout.write("\n")


def stream_answer(api: ApiClient, path: str, body: Json) -> Iterator[str]:
    """Pieces of an answer.

    Raises:
        Failed: the agent reported an error in the middle.
    """
    with api.stream("POST", path, body={**body, "stream": True}) as response:
        for event in parse_events(response.iter_lines()):
            if event.data == "[DONE]":
                return
            yield from _contents(cast("Json", json.loads(event.data)))


def _contents(chunk: Json) -> Iterator[str]:
    error: Any = chunk.get("error")
    if error:
        message = cast("Json", error).get("message") if isinstance(error, dict) else error
        raise Failed(f"The agent could not answer: {message}")
    for choice in cast("list[Json]", chunk.get("choices") or []):
        content: Any = cast("Json", choice.get("delta") or {}).get("content")
        if isinstance(content, str) and content:
            yield content


def chat_path(instance: Json) -> str:
    """Where an agent is talked to."""
    return f"/v1/instances/{instance['id']}/chat/completions"


def _lines() -> Iterator[str]:
    while True:
        try:
            line = input("> " if sys.stdin.isatty() else "").strip()
        except EOFError:
            return
        if line:
            yield line
