"""The API's documentation as one plain page, made from the OpenAPI document; no script, nothing from elsewhere."""

import json
from html import escape
from typing import Any

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h2{margin-top:2.5rem;border-bottom:1px solid #d0d7de;text-transform:capitalize}summary{cursor:pointer;padding:.35rem 0}
code,pre{font:14px/1.45 ui-monospace,monospace}pre{background:#f3f4f6;padding:.75rem;overflow:auto;border-radius:6px}
b{display:inline-block;min-width:4.5rem;color:#0b4f8a}td{padding:.1rem .8rem .1rem 0;vertical-align:top}
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}pre{background:#161b22}b{color:#79b8ff}}
"""


def page(document: dict[str, Any]) -> str:
    """HTML of an OpenAPI document."""
    groups: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            groups.setdefault((operation.get("tags") or ["other"])[0], []).append(_operation(method, path, operation))
    sections = "".join(f"<h2>{escape(tag)}</h2>{''.join(items)}" for tag, items in groups.items())
    info = document["info"]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style><h1>{escape(info['title'])}</h1>"
        f'<p>{escape(info.get("description", ""))}</p><p><a href="/openapi.json">OpenAPI document</a></p>{sections}</html>'
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    parameters = "".join(_parameter(parameter) for parameter in operation.get("parameters", ()))
    answers = "".join(
        f"<tr><td><code>{status}</code><td>{escape(answer.get('description', ''))}"
        for status, answer in operation["responses"].items()
    )
    return (
        f"<details><summary><b>{method.upper()}</b> <code>{escape(path)}</code> {escape(operation.get('summary', ''))}</summary>"
        f"<p>{escape(operation.get('description', ''))}</p><table>{parameters}</table>"
        f"{_example('Request', operation.get('requestBody', {}))}{_first_success(operation)}<table>{answers}</table></details>"
    )


def _parameter(parameter: dict[str, Any]) -> str:
    name, where = escape(parameter["name"]), escape(parameter["in"])
    return f"<tr><td><code>{name}</code><td>{where}<td>{escape(parameter.get('description', ''))}"


def _first_success(operation: dict[str, Any]) -> str:
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            return _example(f"Answer {status}", answer)
    return ""


def _example(title: str, holder: dict[str, Any]) -> str:
    for media in holder.get("content", {}).values():
        if "example" in media:
            return f"<p>{escape(title)}</p><pre>{escape(json.dumps(media['example'], indent=2))}</pre>"
    return ""
