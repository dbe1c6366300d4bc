"""The OpenAPI 3.1 document: ``python -m clawdeploy_api.openapi`` prints it, always the same for the same code."""

import json
import sys
from typing import Any, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import SecretStr

from clawdeploy_common.problems import MEDIA_TYPE, Problem

DESCRIPTION = (
    "Your own OpenClaw in one click. Sign in with an API key: `Authorization: Bearer claw_…`. "
    "Errors are problem details (RFC 9457) with a stable `code`. Lists answer `items` and `next_cursor`."
)
TAGS = [
    {"name": "instances", "description": "Agents of one's own: make, list, show, change, destroy."},
    {"name": "actions", "description": "Start, stop and the like; idempotent, with progress."},
    {"name": "agent", "description": "Talking to the agent itself."},
    {"name": "operations", "description": "What is being done, step by step."},
    {"name": "deployments", "description": "Operations that deploy."},
    {"name": "events", "description": "Everything that happens to an account, in order."},
    {"name": "catalogue", "description": "What can be chosen, with prices."},
    {"name": "cost", "description": "What things have cost by now, in micro-units."},
    {"name": "accounts", "description": "One's own account; for operators, everybody's."},
    {"name": "admin", "description": "For operators."},
    {"name": "on-server agent", "description": "For the program that runs beside OpenClaw on a cloud server."},
    {"name": "front", "description": "No sign-in."},
    {"name": "health", "description": "For machines that watch machines."},
]
_PROBLEM_EXAMPLE = {
    "type": "urn:clawdeploy:problem:not-found",
    "title": "There is no such thing",
    "status": 404,
    "code": "not-found",
    "detail": "no instance 01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e01",
    "instance": "/v1/instances/01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e01",
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The app's document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            openapi_version="3.1.0",
            description=DESCRIPTION,
            routes=app.routes,
            tags=TAGS,
            separate_input_output_schemas=False,
        )
        _add_problem(document)
        _add_examples(document)
        app.openapi_schema = document
    return app.openapi_schema


def _add_problem(document: dict[str, Any]) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas["Problem"] = {**schema, "examples": [_PROBLEM_EXAMPLE]}
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    document["components"]["schemas"] = dict(sorted(schemas.items()))


def _add_examples(document: dict[str, Any]) -> None:
    """Each body and each answer shows the example of its schema."""
    schemas = document["components"]["schemas"]
    for methods in document["paths"].values():
        for operation in methods.values():
            holders = [operation.get("requestBody", {}), *operation["responses"].values()]
            for media_type, media in ((t, m) for holder in holders for t, m in holder.get("content", {}).items()):
                example = _example(media.get("schema", {}), schemas)
                if example is not None and media_type != MEDIA_TYPE:
                    media.setdefault("example", example)


def _example(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found = schemas.get(name, {})
    if found.get("examples"):
        return found["examples"][0]
    items = cast("dict[str, Any]", found.get("properties", {}).get("items", {})).get("items")
    inner = _example(items, schemas) if items else None
    return None if inner is None else {"items": [inner], "next_cursor": None}


def document() -> dict[str, Any]:
    """The document of a gateway with default settings; needs no engine."""
    from clawdeploy_api.main import create_app  # noqa: PLC0415 - main imports this module
    from clawdeploy_api.settings import ApiSettings  # noqa: PLC0415

    nowhere = SecretStr("postgresql://nobody@127.0.0.1/none")
    settings = ApiSettings(
        database_url=nowhere,
        database_web_url=nowhere,
        kafka_bootstrap_servers="127.0.0.1:1",
        internal_secret=SecretStr("x" * 32),
    )
    return create_app(settings).openapi()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(), indent=2, ensure_ascii=False, sort_keys=False) + "\n")
