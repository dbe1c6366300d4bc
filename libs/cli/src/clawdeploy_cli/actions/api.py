"""Any call to the API."""

import json
import sys
from pathlib import Path
from typing import Any

from clawdeploy_cli.client.connect import connect
from clawdeploy_cli.client.http import ApiClient
from clawdeploy_cli.client.problem import raise_for_problem
from clawdeploy_cli.errors import UsageProblem
from clawdeploy_cli.render.console import print_json

METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS")
_STREAMS = ("/stream", "/v1/stream")


def call(method: str, path: str, *, data: str | None) -> None:
    """`claw api`: prints the body of the answer, an error's too; the exit code says which it was.

    Raises:
        UsageProblem: unknown method, a path without its slash, a body that is not JSON.
    """
    verb = method.upper()
    if verb not in METHODS:
        raise UsageProblem(f"{method!r} is no HTTP method.", hint=f"Use one of {', '.join(METHODS)}.")
    if not path.startswith("/"):
        raise UsageProblem(f"{path!r} is no path.", hint="Paths begin with a slash: /v1/instances")
    body = read_body(data)
    with connect() as api:
        if verb == "GET" and path.partition("?")[0].endswith(_STREAMS):
            _print_stream(api, path)
        else:
            _print_answer(api, verb, path, body)


def read_body(data: str | None) -> Any:
    """A request body from the option: JSON text, `@FILE`, or `-` for standard input.

    Raises:
        UsageProblem: it cannot be read or is not JSON.
    """
    if data is None:
        return None
    try:
        return json.loads(_text(data))
    except OSError as error:
        raise UsageProblem(f"{data[1:]}: {error.strerror}") from None
    except ValueError as error:
        raise UsageProblem(f"--data is not JSON: {error}") from None


def _text(data: str) -> str:
    if data == "-":
        return sys.stdin.read()
    return Path(data[1:]).read_text(encoding="utf-8") if data.startswith("@") else data


def _print_answer(api: ApiClient, method: str, path: str, body: Any) -> None:
    response = api.raw(method, path, body=body)
    if "json" in response.headers.get("content-type", ""):
        print_json(response.json())
    elif response.content:
        sys.stdout.write(response.text if response.text.endswith("\n") else f"{response.text}\n")
    raise_for_problem(response)


def _print_stream(api: ApiClient, path: str) -> None:
    with api.stream("GET", path) as response:
        for line in response.iter_lines():
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
