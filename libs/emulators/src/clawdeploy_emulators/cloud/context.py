"""What every route of a cloud's stand-in works with."""

import hmac
from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import Depends, Request

from clawdeploy_emulators.cloud.cloud import Cloud
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.faults import SCOPE_KEY


def cloud_of(request: Request) -> Cloud:
    """The cloud that the application serving this request stands in for."""
    cloud: Cloud = request.app.state.cloud
    return cloud


InCloud = Annotated[Cloud, Depends(cloud_of)]


def shows_token(cloud: Cloud, authorization: str | None) -> bool:
    """Whether a call carries the account's secret as bearer token."""
    scheme, _, token = (authorization or "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), cloud.settings.token.encode())


async def work_of(request: Request) -> AsyncGenerator[Work]:
    """A transaction that is committed before the answer is sent, and rolled back when the call is refused."""
    cloud = cloud_of(request)
    async with cloud.calls:
        with cloud.work(request.scope.get(SCOPE_KEY)) as work:
            yield work


InWork = Annotated[Work, Depends(work_of, scope="function")]
