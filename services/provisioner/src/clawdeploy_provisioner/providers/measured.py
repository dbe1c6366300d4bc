"""A provider whose every call is counted, timed and a span; what it does is the real provider's."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Generator
from contextlib import contextmanager
from uuid import UUID

from clawdeploy_common.errors import PermanentError, TemporaryError
from clawdeploy_common.tracing import span
from clawdeploy_provisioner.metrics import PROVIDER_CALLS, PROVIDER_SECONDS
from clawdeploy_provisioner.providers.protocol import (
    Belonging,
    Bundle,
    LastBill,
    Listing,
    Progress,
    Provider,
    Rented,
    Server,
    ServerSpec,
    Supervising,
)


def measured(provider: Provider) -> Provider:
    """The same provider, measured; one that supervises still does, one that rents still does."""
    if isinstance(provider, Rented):
        return MeasuredAccount(provider, provider)
    return MeasuredSupervisor(provider, provider) if isinstance(provider, Supervising) else Measured(provider)


class Measured:
    """Passes every verb on."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.name = provider.name
        self.visibility_lag = provider.visibility_lag
        self.delivery_patience = provider.delivery_patience

    async def ensure_server(self, spec: ServerSpec) -> Server:
        """As the provider does."""
        with _call(self.name, "ensure_server"):
            return await self._provider.ensure_server(spec)

    async def find_server(self, server_id: UUID) -> Server | None:
        """As the provider does."""
        with _call(self.name, "find_server"):
            return await self._provider.find_server(server_id)

    async def list_servers(self) -> Listing:
        """As the provider does."""
        with _call(self.name, "list_servers"):
            return await self._provider.list_servers()

    async def ensure_installed(self, server_id: UUID, progress: Progress, *, channels: Collection[str] = ()) -> None:
        """As the provider does."""
        with _call(self.name, "ensure_installed"):
            await self._provider.ensure_installed(server_id, progress, channels=channels)

    async def check_configuration(self, server_id: UUID, bundle: Bundle) -> None:
        """As the provider does."""
        with _call(self.name, "check_configuration"):
            await self._provider.check_configuration(server_id, bundle)

    async def write_configuration(self, server_id: UUID, bundle: Bundle) -> None:
        """As the provider does."""
        with _call(self.name, "write_configuration"):
            await self._provider.write_configuration(server_id, bundle)

    async def start(self, server_id: UUID) -> Server:
        """As the provider does."""
        with _call(self.name, "start"):
            return await self._provider.start(server_id)

    async def stop(self, server_id: UUID, *, drain: bool) -> Server:
        """As the provider does."""
        with _call(self.name, "stop"):
            return await self._provider.stop(server_id, drain=drain)

    async def destroy(self, server_id: UUID) -> None:
        """As the provider does."""
        with _call(self.name, "destroy"):
            await self._provider.destroy(server_id)

    async def logs(self, server_id: UUID, *, tail: int) -> list[str]:
        """As the provider does."""
        with _call(self.name, "logs"):
            return await self._provider.logs(server_id, tail=tail)

    def follow_logs(self, server_id: UUID) -> AsyncIterator[str]:
        """As the provider does; a stream may last for days, so it is not timed."""
        return self._provider.follow_logs(server_id)

    async def observe(self, server_id: UUID) -> Server | None:
        """As the provider does."""
        with _call(self.name, "observe"):
            return await self._provider.observe(server_id)

    async def state_size(self, server_id: UUID) -> int:
        """As the provider does."""
        with _call(self.name, "state_size"):
            return await self._provider.state_size(server_id)

    def read_state(self, server_id: UUID) -> AsyncGenerator[bytes]:
        """As the provider does; it lasts as long as its reader takes, so it is not timed."""
        return self._provider.read_state(server_id)

    async def write_state(self, server_id: UUID, chunks: AsyncIterator[bytes]) -> None:
        """As the provider does."""
        with _call(self.name, "write_state"):
            await self._provider.write_state(server_id, chunks)


class MeasuredSupervisor(Measured):
    """The same for a provider that brings back what vanished."""

    def __init__(self, provider: Provider, supervising: Supervising) -> None:
        super().__init__(provider)
        self._supervising = supervising

    async def supervise(self) -> list[Server]:
        """As the provider does."""
        with _call(self.name, "supervise"):
            return await self._supervising.supervise()


class MeasuredAccount(Measured):
    """The same for a provider that rents its servers."""

    def __init__(self, provider: Provider, rented: Rented) -> None:
        super().__init__(provider)
        self._rented = rented

    async def rebuild(self, spec: ServerSpec, progress: Progress) -> None:
        """As the provider does."""
        with _call(self.name, "rebuild"):
            await self._rented.rebuild(spec, progress)

    async def reboot(self, server_id: UUID) -> None:
        """As the provider does."""
        with _call(self.name, "reboot"):
            await self._rented.reboot(server_id)

    async def holds(self, provider_ref: str) -> bool:
        """As the provider does."""
        with _call(self.name, "holds"):
            return await self._rented.holds(provider_ref)

    async def last_bill(self, server_id: UUID) -> LastBill:
        """As the provider does."""
        return await self._rented.last_bill(server_id)

    async def belongings(self) -> list[Belonging]:
        """As the provider does."""
        with _call(self.name, "belongings"):
            return await self._rented.belongings()

    async def give_back(self, belonging: Belonging) -> None:
        """As the provider does."""
        with _call(self.name, "give_back"):
            await self._rented.give_back(belonging)


@contextmanager
def _call(provider: str, call: str) -> Generator[None]:
    started, result = time.perf_counter(), "ok"
    try:
        with span(f"{provider} {call}", clawdeploy__provider=provider):
            yield
    except BaseException as error:
        result = result_of(error)
        raise
    finally:
        PROVIDER_CALLS.labels(provider, call, result).inc()
        PROVIDER_SECONDS.labels(provider, call).observe(time.perf_counter() - started)


def result_of(error: BaseException) -> str:
    """One word for how a call failed; a cancelled one was cut off by its deadline or by us."""
    if isinstance(error, PermanentError):
        return "refused"
    if isinstance(error, TemporaryError):
        return "unavailable"
    return "failed" if isinstance(error, Exception) else "cut_off"
