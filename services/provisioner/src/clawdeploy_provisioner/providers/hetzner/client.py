"""Hetzner Cloud's API, as far as we use it (its published OpenAPI description; base address by setting)."""

from typing import Any

from pydantic import SecretStr

from clawdeploy_common.database import Database
from clawdeploy_common.http import AsyncClient
from clawdeploy_provisioner.providers.budget import RateBudget
from clawdeploy_provisioner.providers.cloud.client import CloudClient, CloudUnavailable, budget_name

BASE_URL = "https://api.hetzner.cloud/v1"
PER_PAGE = 50
_CALLS, _PER_SECOND = 3600, 1.0
SOLD_OUT = frozenset({"resource_unavailable", "placement_error"})


class HetznerClient(CloudClient):
    """One project by its token; 3600 calls an hour, refilled one a second."""

    vendor = "Hetzner"
    again = frozenset({"conflict", "locked", "maintenance", "server_error", "service_error", "timeout", "unavailable"})

    def __init__(self, http: AsyncClient, database: Database, *, token: SecretStr, base_url: str = BASE_URL) -> None:
        budget = RateBudget(database, name=budget_name("hetzner", token), size=_CALLS, rate=_PER_SECOND)
        super().__init__(http, base_url=base_url, budgets=[budget])
        self._token = token

    async def _headers(self, method: str, url: str, content: bytes) -> dict[str, str]:
        del method, url, content
        return {"Authorization": f"Bearer {self._token.get_secret_value()}"}

    def _problem(self, answer: Any) -> tuple[str, str]:
        problem: dict[str, Any] = answer.get("error", {})
        return str(problem.get("code", "unknown")), str(problem.get("message", ""))

    async def pages(self, path: str, **query: str | int) -> list[dict[str, Any]]:
        """Every item of a list; a page that is missing raises, so that nobody takes a part for the whole."""
        key, found, page = path.strip("/"), list[dict[str, Any]](), 1
        while True:
            answer: dict[str, Any] = await self.get(path, **query, page=page, per_page=PER_PAGE)
            found += answer[key]
            pagination: dict[str, int | None] = answer["meta"]["pagination"]
            following = pagination["next_page"]
            if following is None:
                break
            page = following
        if pagination["total_entries"] not in (None, len(found)):
            raise CloudUnavailable(f"the list of {key} changed while it was read", retry_after=1)
        return found
