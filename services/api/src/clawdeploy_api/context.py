"""What a command needs to know besides its payload."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from clawdeploy_api.api_keys import Person
from clawdeploy_api.audit import Actor
from clawdeploy_api.public.instance import Instance
from clawdeploy_api.settings import ApiSettings
from clawdeploy_api.showing import show
from clawdeploy_api.status import Observation
from clawdeploy_common.clock import utc_now


@dataclass(frozen=True, kw_only=True)
class Context:
    """Who asks, under which settings and prices, and what monitor last saw of the account's instances."""

    person: Person
    actor: Actor
    settings: ApiSettings
    price_version: int
    observed: Mapping[UUID, Observation] = field(default_factory=dict[UUID, Observation])
    now: datetime = field(default_factory=utc_now)

    @property
    def account_id(self) -> UUID:
        """The tenant."""
        return self.person.account_id

    def show(self, row: Any, *, asked: UUID | None = None) -> Instance:
        """An instance as this caller sees it, with the operation it just asked for."""
        stale_after = timedelta(seconds=self.settings.stale_after_seconds)
        return show(
            row,
            observed=self.observed.get(row.id),
            now=self.now,
            stale_after=stale_after,
            emulated=self.settings.emulated_clouds,
            asked=asked,
        )
