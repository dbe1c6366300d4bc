"""A round over servers goes on when one of them is busy or in trouble."""

from collections.abc import Awaitable
from uuid import UUID

import structlog

from clawdeploy_common.errors import ClawDeployError
from clawdeploy_provisioner.providers.protocol import Server, ServerBusy

log = structlog.get_logger()


async def passing_over(server_id: UUID, work: Awaitable[Server | None]) -> Server | None:
    """What the work on one server answers; None when somebody else works on it, or when it failed, which is logged."""
    try:
        return await work
    except ServerBusy:
        return None
    except (OSError, ValueError, ClawDeployError) as error:
        log.warning("server.not_supervised", server_id=str(server_id), error=type(error).__name__)
        return None
