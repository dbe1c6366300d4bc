"""What every provider does, whatever kind of machine stands behind it.

Each verb is safe to repeat: an operation that was killed half-way calls it again and gets the same server.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, runtime_checkable
from uuid import UUID

from clawdeploy_common.errors import PermanentError, TemporaryError
from clawdeploy_provisioner.openclaw.config import AgentConfig

Progress = Callable[[str], Awaitable[None]]
"""Takes one human sentence about how far an installation is."""


STARTING = "starting"
"""The detail of a running server whose gateway has not finished starting."""


class ServerState(StrEnum):
    """What the provider itself says about a server."""

    CREATING = "creating"
    RUNNING = "running"
    OFF = "off"
    ERROR = "error"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class ServerSpec:
    """The server that is wanted; ``server_id`` is decided before the provider is asked (law 7)."""

    server_id: UUID
    instance_id: UUID
    account_id: UUID
    operation_id: UUID
    slug: str
    region: str
    memory_mb: int
    cpu_millis: int


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the agent's gateway answers."""

    host: str
    port: int

    @property
    def base_url(self) -> str:
        """The gateway's address for HTTP."""
        return f"http://{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How a gateway ended by itself; ``exit_code`` is negative for a signal, None when nobody saw it end."""

    exit_code: int | None
    last_lines: Sequence[str]
    before_ready: bool


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server as the provider sees it now.

    ``provider_ref`` is the provider's own id of it, which tenants see: no path of ours.
    ``ready`` says that ``/startupz`` has answered "started" since the last start; ``restarts`` counts the automatic ones within
    the window; ``exited`` is set in state ERROR when the gateway ended by itself. ``is_openclaw`` is False when another program was
    put on the server: then it has no methods to be asked, and is ready while its port answers over HTTP. ``reachable`` says that the
    server can be worked on, ``progress`` how far it is until then. Where the gateway is reached only by the server's own agent, there
    is no ``address`` but a ``host``, and ``models`` are what that agent has seen; None elsewhere: ask the gateway.
    """

    server_id: UUID
    instance_id: UUID | None
    provider_ref: str
    state: ServerState
    address: Address | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    detail: str | None = None
    ready: bool = False
    memory_bytes: int | None = None
    disk_free_bytes: int | None = None
    restarts: int = 0
    exited: Exit | None = None
    is_openclaw: bool = True
    host: str | None = None
    reachable: bool = True
    progress: str | None = None
    models: frozenset[str] | None = None

    @property
    def located(self) -> str | None:
        """The machine's address, when the provider has named it."""
        return self.address.host if self.address else self.host


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Every server of ours; when it is incomplete or empty, what is missing from it proves nothing."""

    servers: list[Server]
    complete: bool


@dataclass(frozen=True, kw_only=True)
class Belonging:
    """Something at a cloud that carries our label: a ``server``, or what a server has of its own, by the cloud's own reference."""

    kind: str
    ref: str
    server_id: UUID


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """One version of a configuration with the secrets it names, by environment variable."""

    config: AgentConfig
    environment: Mapping[str, str] = field(repr=False)
    version: int


@dataclass(frozen=True, kw_only=True)
class LastBill:
    """What a provider charges for a server that was removed, where that is not the time it was there.

    ``paid_until`` is the end of the month that was paid ahead, by the provider's own word; ``refunded`` says that the provider cancelled
    the order, so that nothing is charged at all.
    """

    paid_until: datetime | None = None
    refunded: bool = False


class ProviderError(Exception):
    """Root of what a provider raises on purpose; each leaf is temporary or permanent too."""


class ServerNotFound(ProviderError, PermanentError):
    """The provider knows no such server."""

    code = "server-not-found"

    def __init__(self, server_id: UUID) -> None:
        super().__init__(f"its server {server_id} is gone; redeploy makes a new one")
        self.server_id = server_id


class ConfigurationRejected(ProviderError, PermanentError):
    """OpenClaw refused the configuration; ``issues`` are sentences that name the path."""

    code = "configuration-rejected"
    title = "OpenClaw refused this configuration"

    def __init__(self, issues: Sequence[str]) -> None:
        super().__init__("; ".join(issues))
        self.issues = list(issues)


class ExitedBeforeReady(ProviderError, PermanentError):
    """The gateway ended before it was ready; ``last_lines`` are redacted."""

    code = "exited-before-ready"
    title = "OpenClaw ended before it was ready"

    def __init__(self, exit_code: int | None, last_lines: Sequence[str]) -> None:
        telling = telling_line(last_lines)
        tail = f": {telling}" if telling else ""
        super().__init__(f"OpenClaw ended before it was ready (exit code {exit_code}){tail}")
        self.exit_code = exit_code
        self.last_lines = list(last_lines)


_ADVICE = ("[openclaw] Help:", "[openclaw] Try:", "[openclaw] Debug:", "[openclaw] The CLI command failed")
_WARNING = "SECURITY WARNING"
"""Told at every start about the chosen way to sign in; never why a start failed."""


def telling_line(lines: Sequence[str]) -> str | None:
    """The line that says what went wrong: OpenClaw's reason if it gives one, else the last that is no general advice."""
    reasons = [line.partition("Reason:")[2].strip() for line in lines if "[openclaw] Reason:" in line]
    others = [line for line in lines if line.strip() and not line.startswith(_ADVICE) and _WARNING not in line]
    return next(iter([*reversed(reasons), *reversed(others)]), None)


class ServerBusy(ProviderError, TemporaryError):
    """Another operation holds this server at the moment."""

    code = "server-busy"


class ProviderUnavailable(ProviderError, TemporaryError):
    """The provider cannot do it now but may later: no room, no answer, something still ending."""

    code = "provider-unavailable"


class InstallationFailed(ProviderError, TemporaryError):
    """OpenClaw or one of its plugins could not be installed."""

    code = "installation-failed"


def require_alive(server: Server) -> Server:
    """The server itself, unless its gateway ended before it was ready; for those who wait for a start.

    Raises:
        ExitedBeforeReady: with the exit code and the last lines.
    """
    if server.exited is not None and server.exited.before_ready:
        raise ExitedBeforeReady(server.exited.exit_code, server.exited.last_lines)
    return server


class Provider(Protocol):
    """One kind of machine."""

    name: str
    visibility_lag: timedelta
    """How long after a call its effect may still be missing from a listing."""
    delivery_patience: timedelta
    """How long after it was accepted a server may be on its way without that being taken for a lack of progress."""

    async def ensure_server(self, spec: ServerSpec) -> Server:
        """Create the server unless it is there; the answer may still be CREATING."""
        ...

    async def find_server(self, server_id: UUID) -> Server | None:
        """Look for the server by its label, even when our own record of it is lost."""
        ...

    async def list_servers(self) -> Listing:
        """Every server that carries our label."""
        ...

    async def ensure_installed(self, server_id: UUID, progress: Progress, *, channels: Collection[str] = ()) -> None:
        """Put OpenClaw, and the plugins that ``channels`` need, on the server."""
        ...

    async def check_configuration(self, server_id: UUID, bundle: Bundle) -> None:
        """Have OpenClaw check the configuration and install the plugins it needs; slow, and nothing the agent reads changes, save where
        a server's own agent applies what it has checked: there this is all of it, and it rolls back by itself.

        Raises:
            ConfigurationRejected: it would not start with it.
        """
        ...

    async def write_configuration(self, server_id: UUID, bundle: Bundle) -> None:
        """Put the configuration in place for the next start, after the same check, which is quick the second time.

        Raises:
            ConfigurationRejected: nothing was written.
        """
        ...

    async def start(self, server_id: UUID) -> Server:
        """Bring the gateway up; effective when its process runs, ready when ``/startupz`` says so.

        Raises:
            ExitedBeforeReady: it ended at once.
        """
        ...

    async def stop(self, server_id: UUID, *, drain: bool) -> Server:
        """Bring the gateway down; ``drain`` lets answers that are being written finish. Safe when already stopped or gone."""
        ...

    async def destroy(self, server_id: UUID) -> None:
        """Remove everything of the server; returns only when it is confirmed gone. Safe when already gone."""
        ...

    async def logs(self, server_id: UUID, *, tail: int) -> list[str]:
        """The last ``tail`` lines the gateway wrote, redacted."""
        ...

    def follow_logs(self, server_id: UUID) -> AsyncIterator[str]:
        """New lines as the gateway writes them, redacted; ends when the server is gone."""
        ...

    async def observe(self, server_id: UUID) -> Server | None:
        """The server now; None when the provider has never heard of it."""
        ...

    async def state_size(self, server_id: UUID) -> int:
        """About how many bytes ``read_state`` would answer, whether the agent runs or not."""
        ...

    def read_state(self, server_id: UUID) -> AsyncGenerator[bytes]:
        """What the agent knows as a tar (see ``kept_state.sieve``), in chunks of a megabyte, while its gateway is stopped."""
        ...

    async def write_state(self, server_id: UUID, chunks: AsyncIterator[bytes]) -> None:
        """Put such a tar in place, before the gateway is started; what is there of the same name is replaced."""
        ...


@runtime_checkable
class Rented(Protocol):
    """A provider whose servers are rented in an account: its listings may lack what is there, it keeps more than servers, and
    can restart or wipe one in place.
    """

    async def rebuild(self, spec: ServerSpec, progress: Progress) -> None:
        """Wipe a server and begin anew on it; number, address, price and what guards it stay.

        What was on it is forgotten, its agent's credential and its host key too, and the empty system is set up as a new server's is.
        Repeated after a lost answer it wipes once more. ``progress`` is fenced.

        Raises:
            ServerNotFound: there is nothing to rebuild.
        """
        ...

    async def reboot(self, server_id: UUID) -> None:
        """Restart the machine as its reset button does, and switch it on when it is off; the cloud has taken it on.

        Raises:
            ServerNotFound: there is nothing to restart.
        """
        ...

    async def holds(self, provider_ref: str) -> bool:
        """Whether the account has the server with the cloud's own reference: looked up directly, not in a listing."""
        ...

    async def last_bill(self, server_id: UUID) -> LastBill:
        """What is charged for a server whose removal was confirmed."""
        ...

    async def belongings(self) -> list[Belonging]:
        """The keys, firewalls and the like that carry our label; servers are not among them."""
        ...

    async def give_back(self, belonging: Belonging) -> None:
        """Remove exactly this; safe when gone."""
        ...


@runtime_checkable
class Supervising(Protocol):
    """A provider that itself brings back what vanished (a cloud's machines do that on their own)."""

    async def supervise(self) -> list[Server]:
        """One round over every server nobody works on."""
        ...
