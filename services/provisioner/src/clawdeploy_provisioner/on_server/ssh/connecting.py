"""Getting into a server, and knowing it again: the host key of the first contact is the one that counts."""

import asyncio
import os
import socket
from uuid import UUID

import asyncssh
import structlog

from clawdeploy_provisioner.on_server.ssh.errors import HostKeyChanged, SshUnavailable
from clawdeploy_provisioner.on_server.ssh.logins import Login, Logins, Pins

log = structlog.get_logger()

_CONNECT_S = 15.0
_KEEPALIVE_S = 15.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0


class _FirstContact(asyncssh.SSHClient):
    """Lets any host key pass; whoever connects pins it before anything else is done."""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        del host, addr, port, key
        return True


async def connect(server_id: UUID, login: Login, pins: Pins) -> asyncssh.SSHClientConnection:
    """A connection to the server we know, or meet now.

    Raises:
        SshUnavailable: nothing answers within 15 s, or it does not let our key in.
        HostKeyChanged: another server answers.
    """
    known = [] if login.host_key is None else [asyncssh.import_public_key(login.host_key)]
    try:
        async with asyncio.timeout(_CONNECT_S):
            connection = await asyncssh.connect(
                login.host,
                login.port,
                username=login.user,
                client_keys=[asyncssh.import_private_key(login.private_key)],
                client_factory=asyncssh.SSHClient if known else _FirstContact,
                known_hosts=(known, [], []),
                preferred_auth="publickey",
                agent_path=None,
                config=None,
                keepalive_interval=_KEEPALIVE_S,
                keepalive_count_max=3,
            )
    except asyncssh.HostKeyNotVerifiable:
        raise HostKeyChanged(server_id) from None
    except TimeoutError:
        raise SshUnavailable(server_id, f"no answer from {login.host}:{login.port}") from None
    except asyncssh.PermissionDenied:
        raise SshUnavailable(server_id, f"our key is not let in as {login.user}") from None
    except (OSError, asyncssh.Error) as error:
        raise SshUnavailable(server_id, f"{_why(error)} at {login.host}:{login.port}") from error
    try:
        await _pinned(server_id, connection, pins)
    except BaseException:
        connection.abort()
        raise
    return connection


def _why(error: OSError | asyncssh.Error) -> str:
    """In words; asyncio's own text for the system's error is an address."""
    match error:
        case socket.gaierror():
            return "unknown host name"
        case OSError(errno=int(number)):
            return os.strerror(number)
        case _:
            return type(error).__name__


async def wait_for(server_id: UUID, logins: Logins, *, seconds: float, host: str | None = None) -> None:
    """Wait until the server lets us in, asking after 0.5, 1, 2, … at most 10 seconds; raises what the last try raised."""
    pause = _FIRST_PAUSE_S
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            connection = await connect(server_id, await logins.find(server_id, host=host), logins)
        except SshUnavailable:
            if asyncio.get_running_loop().time() + pause > deadline:
                raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)
        else:
            connection.close()
            await connection.wait_closed()
            return


async def _pinned(server_id: UUID, connection: asyncssh.SSHClientConnection, pins: Pins) -> None:
    """Of two first contacts at once one pins, and the other must have seen the same key."""
    key = connection.get_server_host_key()
    if key is None:
        raise SshUnavailable(server_id, "it showed no host key")
    shown = key.export_public_key("openssh").decode().strip()
    if await pins.pin(server_id, shown) != shown:
        raise HostKeyChanged(server_id)
    log.debug("ssh.connected", server_id=str(server_id))
