"""DigitalOcean's API v2, as far as we use it (its published OpenAPI description; base address by setting)."""

from typing import Any

from pydantic import SecretStr

from clawdeploy_common.database import Database
from clawdeploy_common.http import AsyncClient
from clawdeploy_provisioner.providers.budget import RateBudget
from clawdeploy_provisioner.providers.cloud.client import CloudClient, CloudUnavailable, budget_name

BASE_URL = "https://api.digitalocean.com/v2"
PER_PAGE = 200
UNPROCESSABLE = "unprocessable_entity"
"""Everything that cannot be done as asked, for good or at the moment: the words that follow are not promised."""


class DigitalOceanClient(CloudClient):
    """One account by its token: 5000 calls in any hour and 250 in any minute.

    They count over sliding windows. A bucket keeps within one when its size and what it gains meanwhile are no more than the
    window allows: 2500 and 0.69 a second make 5000 in an hour, 100 and 2.5 a second make 250 in a minute.
    """

    vendor = "DigitalOcean"

    def __init__(self, http: AsyncClient, database: Database, *, token: SecretStr, base_url: str = BASE_URL) -> None:
        hour = RateBudget(database, name=budget_name("digitalocean", token), size=2500, rate=0.69)
        minute = RateBudget(database, name=budget_name("digitalocean", token, window="minute"), size=100, rate=2.5)
        super().__init__(http, base_url=base_url, budgets=[hour, minute])
        self._token = token
        self.key_listings = RateBudget(
            database, name=budget_name("digitalocean", token, window="keys"), size=4, rate=0.1
        )
        """Listing SSH keys is limited to 10 in any minute; take from this before."""

    async def _headers(self, method: str, url: str, content: bytes) -> dict[str, str]:
        del method, url, content
        return {"Authorization": f"Bearer {self._token.get_secret_value()}"}

    def _problem(self, answer: Any) -> tuple[str, str]:
        return str(answer.get("id", "unknown")), str(answer.get("message", ""))

    async def pages(self, path: str, *, key: str, **query: str | int) -> list[dict[str, Any]]:
        """Every item of a list; a page that is missing raises, so that nobody takes a part for the whole."""
        found, page = list[dict[str, Any]](), 1
        while True:
            answer: dict[str, Any] = await self.get(path, **query, page=page, per_page=PER_PAGE)
            found += answer[key]
            if "next" not in answer.get("links", {}).get("pages", {}):
                break
            page += 1
        if answer["meta"]["total"] != len(found):
            raise CloudUnavailable(f"the list of {key} changed while it was read", retry_after=1)
        return found
