"""OVHcloud's API: signed calls (github.com/ovh/python-ovh), errors in two shapes."""

import hashlib
import time
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from clawdeploy_common.database import Database
from clawdeploy_common.http import AsyncClient, TransportError
from clawdeploy_provisioner.providers.budget import RateBudget
from clawdeploy_provisioner.providers.cloud.client import CloudClient, CloudUnavailable, budget_name

BASE_URL = "https://eu.api.ovh.com/1.0"
_CLOCK_S = 20.0
_CALLS, _PER_SECOND = 600, 10.0
"""OVH publishes no limit; this is ours, and a 429 closes the budget for everybody."""


@dataclass(frozen=True, kw_only=True)
class OvhKeys:
    """An application with its secret, and the consumer key somebody validated for the account."""

    application_key: str
    application_secret: SecretStr = field(repr=False)
    consumer_key: SecretStr = field(repr=False)


def signature(parts: list[str]) -> str:
    """``$1$`` and the SHA-1 of secret, consumer, method, whole address, body and timestamp, joined by plus signs: OVH's rule."""
    return "$1$" + hashlib.sha1("+".join(parts).encode(), usedforsecurity=False).hexdigest()


class OvhClock:
    """OVH's time, which signatures are made by; asked for once."""

    def __init__(self, http: AsyncClient, *, base_url: str = BASE_URL) -> None:
        self._http = http
        self._url = f"{base_url}/auth/time"
        self._behind: float | None = None

    async def now(self) -> float:
        """Seconds since 1970; raises CloudUnavailable."""
        if self._behind is None:
            try:
                answer = await self._http.get(self._url, timeout=_CLOCK_S)
                self._behind = float(answer.text) - time.time()
            except (TransportError, ValueError) as error:
                raise CloudUnavailable(f"OVH does not tell its time ({type(error).__name__})", retry_after=2) from error
        return time.time() + self._behind


class OvhClient(CloudClient):
    """One account; calls are signed by OVH's clock, which is asked once."""

    vendor = "OVH"

    def __init__(
        self, http: AsyncClient, database: Database, *, keys: OvhKeys, clock: OvhClock, base_url: str = BASE_URL
    ) -> None:
        name = budget_name("ovh", keys.consumer_key)
        super().__init__(
            http, base_url=base_url, budgets=[RateBudget(database, name=name, size=_CALLS, rate=_PER_SECOND)]
        )
        self._keys = keys
        self._clock = clock

    async def _headers(self, method: str, url: str, content: bytes) -> dict[str, str]:
        stamp = str(int(await self._clock.now()))
        secret, consumer = self._keys.application_secret.get_secret_value(), self._keys.consumer_key.get_secret_value()
        return {
            "X-Ovh-Application": self._keys.application_key,
            "X-Ovh-Consumer": consumer,
            "X-Ovh-Timestamp": stamp,
            "X-Ovh-Signature": signature([secret, consumer, method, url, content.decode(), stamp]),
        }

    def _problem(self, answer: Any) -> tuple[str, str]:
        return str(answer.get("errorCode") or answer.get("class") or "unknown"), str(answer.get("message", ""))
