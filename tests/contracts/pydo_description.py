"""DigitalOcean's published description, as its SDK carries it: the template of an answer in each method's docstring.

The SDK is generated from the description; a template names every key, its type, and whether it is required.
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
import jsonschema_rs
from pydo import operations

BASE_PATH = "/v2"
METHODS = {
    "GET /account": ("AccountOperations", "get"),
    "GET /regions": ("RegionsOperations", "list"),
    "GET /sizes": ("SizesOperations", "list"),
    "GET /images": ("ImagesOperations", "list"),
    "GET /images/{id}": ("ImagesOperations", "get"),
    "GET /droplets": ("DropletsOperations", "list"),
    "GET /droplets/{id}": ("DropletsOperations", "get"),
    "GET /droplets/{id}/actions": ("DropletActionsOperations", "list"),
    "GET /droplets/{id}/actions/{id}": ("DropletActionsOperations", "get"),
    "POST /droplets/{id}/actions": ("DropletActionsOperations", "post"),
    "GET /actions/{id}": ("ActionsOperations", "get"),
    "GET /account/keys": ("SshKeysOperations", "list"),
    "POST /account/keys": ("SshKeysOperations", "create"),
    "GET /account/keys/{id}": ("SshKeysOperations", "get"),
    "PUT /account/keys/{id}": ("SshKeysOperations", "update"),
    "POST /tags": ("TagsOperations", "create"),
    "GET /tags": ("TagsOperations", "list"),
    "GET /tags/{id}": ("TagsOperations", "get"),
    "POST /firewalls": ("FirewallsOperations", "create"),
    "GET /firewalls": ("FirewallsOperations", "list"),
    "GET /firewalls/{id}": ("FirewallsOperations", "get"),
    "PUT /firewalls/{id}": ("FirewallsOperations", "update"),
}
REFUSAL = {
    "type": "object",
    "required": ["id", "message"],
    "properties": {"id": {"type": "string"}, "message": {"type": "string"}, "request_id": {"type": "string"}},
    "additionalProperties": False,
}
ORDER = {  # the SDK's template for POST /droplets is missing: it is the same Droplet, with links to its actions
    "type": "object",
    "required": ["links"],
    "properties": {
        "droplet": {"$ref": "#/$defs/droplet"},
        "droplets": {"type": "array", "items": {"$ref": "#/$defs/droplet"}},
        "links": {"type": "object", "required": ["actions"]},
    },
    "additionalProperties": False,
}
LINE = re.compile(
    r'\s*(?:"(?P<key>[\w.-]+)": )?(?P<value>\{\}|[\[{\]}]|"[^"]*"|bool|True|False|\d+\.\d+|\d+),?(?:\s+#\s*(?P<comment>.*))?$'
)
BOOLEANS = {"bool", "True", "False"}
Json = dict[str, Any]


@dataclass
class Token:
    """One line of a template, with all of its comment."""

    key: str | None
    value: str
    comment: str

    @property
    def required(self) -> bool:
        return "Required" in self.comment and "Optional." not in self.comment


class PydoDescription:
    """Judges every answer below /v2 by the templates of the SDK that came with it."""

    async def judge(self, response: httpx.Response) -> None:
        """Fail when an answer is not what was promised; an event hook of httpx."""
        path = response.request.url.path
        if not path.startswith(BASE_PATH):
            return
        await response.aread()
        if response.status_code == 204:
            assert not response.content
        else:
            _validator(response.request.method, _template(path), response.is_success).validate(response.json())


def _template(path: str) -> str:
    """The path with its numbers, slugs and uuids replaced."""
    parts = path.removeprefix(BASE_PATH + "/").split("/")
    nouns = {"account", "keys", "droplets", "actions", "tags", "firewalls", "regions", "sizes", "images", "resources"}
    return "/" + "/".join(part if part in nouns else "{id}" for part in parts)


@cache
def _validator(method: str, path: str, success: bool) -> jsonschema_rs.Draft202012Validator:
    if not success:
        return jsonschema_rs.Draft202012Validator(REFUSAL)
    schema = ORDER if (method, path) == ("POST", "/droplets") else _described(f"{method} {path}")
    droplet = _described("GET /droplets/{id}")["properties"]["droplet"]
    return jsonschema_rs.Draft202012Validator({**schema, "$defs": {"droplet": droplet}}, validate_formats=True)


def _described(operation: str) -> Json:
    group, method = METHODS[operation]
    text = inspect.getdoc(getattr(getattr(operations, group), method)) or ""
    template = text.partition("# response body for status code(s): 2")[2].partition("response == ")[2]
    tokens = _tokens(template.partition("# response body")[0])
    return _schema(next(tokens), tokens)


def _tokens(template: str) -> Iterator[Token]:
    token: Token | None = None
    for line in template.splitlines():
        found = LINE.fullmatch(line)
        if found is None:
            if token is not None:
                token.comment += " " + line.strip()
            continue
        if token is not None:
            yield token
        token = Token(key=found["key"], value=found["value"], comment=found["comment"] or "")
    if token is not None:
        yield token


def _schema(token: Token, tokens: Iterator[Token]) -> Json:
    match token.value:
        case "{":
            return _object(tokens)
        case "[":
            return _array(tokens)
        case "{}":
            return {}
        case value if value in BOOLEANS:
            return _nullable("boolean", token)
        case value if value[0].isdigit():
            return _nullable("number" if "." in value else "integer", token)
        case value:
            formats = {"format": "date-time"} if value == '"2020-02-20 00:00:00"' else {}
            return {**_nullable("string", token), **formats}


def _object(tokens: Iterator[Token]) -> Json:
    properties: Json = {}
    required: list[str] = []
    for token in tokens:
        if token.value == "}":
            break
        assert token.key is not None, token
        properties[token.key] = _schema(token, tokens)
        if token.required:
            required.append(token.key)
    return {
        "type": ["object", "null"],
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _array(tokens: Iterator[Token]) -> Json:
    items = _schema(next(tokens), tokens)
    end = next(tokens)
    assert end.value == "]", end
    return {"type": ["array", "null"], "items": items}


def _nullable(kind: str, token: Token) -> Json:
    return {"type": kind} if token.required else {"type": [kind, "null"]}
