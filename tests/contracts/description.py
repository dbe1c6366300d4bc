"""A published API description, as a judge of answers."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs

SPECS = Path(__file__).parent / "specs"


class Description:
    """Judges every answer below a base path by what the description promises for its operation and status.

    `undescribed` is the schema for statuses (and routes) that the description leaves out; below the paths of `silent`
    it says nothing at all, and nothing is judged.
    """

    def __init__(self, name: str, *, base_path: str, undescribed: dict[str, Any], silent: str = "(?!)") -> None:
        self._document: dict[str, Any] = json.loads((SPECS / name).read_text())
        self._base_path = base_path
        self._undescribed = undescribed
        self._silent = re.compile(silent)
        self._validator = cache(self._make_validator)

    async def judge(self, response: httpx.Response) -> None:
        """Fail when an answer is not what was promised; an event hook of httpx."""
        path = response.request.url.path
        if not path.startswith(self._base_path) or self._silent.match(path.removeprefix(self._base_path)):
            return
        await response.aread()
        schema = self._schema(response.request.method, path.removeprefix(self._base_path), response.status_code)
        if schema is None:
            assert response.content in {b"", b"null"}, (
                f"{path} answered {response.status_code} with a body that nobody described"
            )
        else:
            self._validator(json.dumps(schema)).validate(response.json())

    def _schema(self, method: str, path: str, status: int) -> dict[str, Any] | None:
        responses = self._operation(method, path).get("responses", {})
        described = responses.get(str(status), responses.get(f"{status // 100}xx"))
        if described is None:
            assert status >= 400, f"{method} {path} answered {status}, which is not described"
            return self._undescribed
        return described["content"]["application/json"]["schema"] if "content" in described else None

    def _operation(self, method: str, path: str) -> dict[str, Any]:
        fitting = [
            template
            for template in self._document["paths"]
            if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), path)
        ]
        literal_first = sorted(fitting, key=lambda template: template.count("{"))
        return self._document["paths"][literal_first[0]].get(method.lower(), {}) if fitting else {}

    def _make_validator(self, schema: str) -> jsonschema_rs.Draft202012Validator:
        whole = {**json.loads(schema), "components": self._document.get("components", {})}
        return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
