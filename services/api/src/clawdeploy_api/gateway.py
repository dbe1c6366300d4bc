"""What the gateway's routes share: one object, put together in ``main`` and found by every request."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from clawdeploy_api.api_keys import ApiKeys
from clawdeploy_api.bootstrap import Bootstrap
from clawdeploy_api.engines import Engines
from clawdeploy_api.forwarding import Forwarder
from clawdeploy_api.observations import Observations
from clawdeploy_api.prices import Prices
from clawdeploy_api.rate_limits import RateLimits
from clawdeploy_api.settings import ApiSettings
from clawdeploy_api.stream import EventStream
from clawdeploy_common.database import Database
from clawdeploy_common.service import Service


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """The parts of the gateway."""

    settings: ApiSettings
    service: Service
    keys: ApiKeys
    bootstrap: Bootstrap
    limits: RateLimits
    forwarder: Forwarder
    observations: Observations
    prices: Prices
    engines: Engines
    stream: EventStream

    @property
    def database(self) -> Database:
        """The gateway's schema."""
        return self.service.database


async def _gateway(request: Request) -> Gateway:  # a plain function would be run in a thread, for every request
    found: Gateway = request.app.state.gateway
    return found


TheGateway = Annotated[Gateway, Depends(_gateway)]
