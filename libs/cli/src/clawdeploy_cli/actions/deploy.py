"""Deploying an agent."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from clawdeploy_cli.actions.await_change import conclude
from clawdeploy_cli.client.connect import connect
from clawdeploy_cli.client.http import ApiClient, Json
from clawdeploy_cli.errors import UsageProblem
from clawdeploy_cli.render.console import say

_SUFFIXED = re.compile("(.+)-[0-9a-f]{6}")


def deploy_instance(wanted: Mapping[str, str | None], *, secrets: Sequence[str], wait: bool, as_json: bool) -> None:
    """`claw deploy`."""
    body: Json = {name: value for name, value in wanted.items() if value is not None}
    body.update(read_secrets(secrets, environment=os.environ))
    with connect() as api:
        instance = api.post("/v1/instances", body)
        _say_when_renamed(api, instance)
        conclude(api, instance, doing="Deploying", wait=wait, as_json=as_json)


def _say_when_renamed(api: ApiClient, instance: Json) -> None:
    """A slug that was taken got six random characters: say how this one is called."""
    found = _SUFFIXED.fullmatch(str(instance["slug"]))
    if found and any(item["status"] != "deleted" for item in api.pages("/v1/instances", slug=found[1])):
        say(f"There is a {found[1]} already: this one is {instance['slug']}.")


def read_secrets(given: Sequence[str], *, environment: Mapping[str, str]) -> dict[str, Any]:
    """The request's secret fields from `NAME=ENVVAR` pairs; `api_key.<provider>` names one of several keys.

    Raises:
        UsageProblem: a pair is malformed, a name unknown, or a variable not set. Values are never repeated.
    """
    fields: dict[str, Any] = {}
    for pair in given:
        name, separator, variable = pair.partition("=")
        if not separator or not variable:
            raise UsageProblem(f"--secret-from-env {name}: write NAME=ENVVAR.")
        value = environment.get(variable)
        if not value:
            raise UsageProblem(f"The environment variable {variable} is not set.")
        _put(fields, name, value)
    return fields


def _put(fields: dict[str, Any], name: str, value: str) -> None:
    field, _, provider = name.partition(".")
    if field == "api_key" and provider:
        fields.setdefault("api_key", {})[provider] = value
    elif name == "bot_token":
        fields["bot_token"] = value
    else:
        raise UsageProblem(f"{name!r} is no secret of an agent.", hint="Use bot_token or api_key.<provider>.")
