"""How fresh a status is: monitor's last observations, asked for with patience of two seconds and remembered for five."""

import time
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import structlog
from pydantic import BaseModel, ValidationError

from clawdeploy_api.forwarding import Forwarder, Target
from clawdeploy_api.status import Observation
from clawdeploy_common.errors import ClawDeployError

log = structlog.get_logger()

CACHE_S = 5.0
TIMEOUT_S = 2.0
_CACHE_SIZE = 10_000


class _Item(BaseModel):
    instance_id: UUID
    process: str
    channel: str
    observed_at: datetime
    lifecycle_version: int
    detail: str | None = None


class _Items(BaseModel):
    items: list[_Item]


class Observations:
    """What monitor sees now; nothing, when it does not answer: then the last event it sent has to do."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._known: dict[UUID, tuple[float, Mapping[UUID, Observation]]] = {}

    async def of(self, account_id: UUID) -> Mapping[UUID, Observation]:
        """The newest observation of each of an account's instances."""
        known = self._known.get(account_id)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        found = await self._ask(account_id)
        if len(self._known) >= _CACHE_SIZE:
            self._known.clear()
        self._known[account_id] = (time.monotonic() + CACHE_S, found)
        return found

    async def _ask(self, account_id: UUID) -> Mapping[UUID, Observation]:
        target = Target(service="monitor", path="/internal/observations", account_id=account_id, timeout_s=TIMEOUT_S)
        try:
            answer = _Items.model_validate(await self._forwarder.get(target))
        except (ClawDeployError, ValidationError) as error:
            log.debug("observations.unavailable", error=str(error))
            return {}
        return {
            item.instance_id: Observation(
                process=item.process,
                channel=item.channel,
                observed_at=item.observed_at,
                lifecycle_version=item.lifecycle_version,
                detail=item.detail,
            )
            for item in answer.items
        }
