"""The way of an on-server agent's calls to a provisioner in this process."""

from httpx import AsyncBaseTransport, ConnectError, Request, Response

from clawdeploy_common.http import ASGITransport
from clawdeploy_common.tokens import InternalTokens


class ThroughTheGateway(AsyncBaseTransport):
    """What the gateway does for an agent: the same call with an internal token, the agent's secret beside it."""

    inner: ASGITransport | None = None
    tokens: InternalTokens

    async def handle_async_request(self, request: Request) -> Response:
        if self.inner is None:
            raise ConnectError("no provisioner runs")
        request.headers["x-agent-secret"] = request.headers["authorization"].removeprefix("Bearer ")
        request.headers["authorization"] = f"Bearer {self.tokens.issue('provisioner')}"
        request.url = request.url.copy_with(path=request.url.path.replace("/v1/agent/", "/internal/agent/"))
        return await self.inner.handle_async_request(request)
