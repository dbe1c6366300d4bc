"""HTTP to a gateway that listens on its server's loopback address only: through SSH, by a UNIX socket that is ours alone."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import UUID

from clawdeploy_common.http import (
    AsyncBaseTransport,
    AsyncByteStream,
    AsyncHTTPTransport,
    Request,
    Response,
)
from clawdeploy_provisioner.on_server.placement import GATEWAY_PORT
from clawdeploy_provisioner.on_server.ssh.sessions import SshSessions


def tunnel_url(server_id: UUID) -> str:
    """What to ask for a server's gateway under; only a client with a ``TunnelTransport`` understands it."""
    return f"http://{server_id}"


class TunnelTransport(AsyncBaseTransport):
    """The host of a request's address is a server's id; the gateway sees a caller from its own loopback address.

    A request raises SshUnavailable, HostKeyChanged or NoSshLogin when there is no way to the server.
    """

    def __init__(self, sessions: SshSessions, *, port: int = GATEWAY_PORT) -> None:
        self._sessions = sessions
        self._port = port

    async def handle_async_request(self, request: Request) -> Response:
        """Send one request; the connection is in use until its answer is read or closed."""
        stack = AsyncExitStack()
        try:
            return await self._send(request, stack)
        except BaseException:
            await stack.aclose()
            raise

    async def _send(self, request: Request, stack: AsyncExitStack) -> Response:
        path = await stack.enter_async_context(self._sessions.socket(UUID(request.url.host), self._port))
        inner = await stack.enter_async_context(AsyncHTTPTransport(uds=str(path), verify=False))
        request.headers["host"] = f"127.0.0.1:{self._port}"
        response = await inner.handle_async_request(request)
        assert isinstance(response.stream, AsyncByteStream)  # noqa: S101 - httpx's own promise
        return Response(
            response.status_code,
            headers=response.headers,
            stream=_Held(response.stream, stack),
            extensions=response.extensions,
        )


class _Held(AsyncByteStream):
    """An answer's body, with what it comes through."""

    def __init__(self, inner: AsyncByteStream, stack: AsyncExitStack) -> None:
        self._inner = inner
        self._stack = stack

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._inner:
            yield part

    async def aclose(self) -> None:
        async with self._stack:
            await self._inner.aclose()
