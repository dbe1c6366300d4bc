"""Death at a chosen moment, in this process: from then on nothing of the dead one reaches the database or the wire."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import Any

from httpx import AsyncBaseTransport, ConnectError, Request, Response

from clawdeploy_common.database import Database
from clawdeploy_provisioner.operations.drive import Drive
from clawdeploy_provisioner.providers.budget import RateBudget

_NAME = re.compile(r"/(?:[0-9]+|[0-9a-f-]{36}|vps-[^/]+|urn:[^/]+|clawdeploy:[^/]+)(?=/|$)")


class Life:
    """One life of a provisioner; it ends at the first of its moments that is reached, and what it did not commit is lost."""

    def __init__(self, moments: set[str], seen: list[str]) -> None:
        self.died = asyncio.Event()
        self.died_at: str | None = None
        self._moments = moments
        self._seen = seen

    async def reach(self, moment: str) -> None:
        """Reach a moment, and perhaps no other."""
        if self.died.is_set():
            await asyncio.Event().wait()
        self._seen.append(moment)
        if moment in self._moments:
            self.died_at = moment
            self.died.set()
            await asyncio.Event().wait()

    def require(self) -> None:
        """Raise for everything that a dead one still tries."""
        if self.died.is_set():
            raise ConnectionError("this process is dead")

    def holds(self, database: Database) -> None:
        """Let nothing be written in its name after its end."""
        pool = database.owner
        connect = pool._connection  # pyright: ignore[reportPrivateUsage] - the one place through which everything is written

        @asynccontextmanager
        async def mortal() -> AsyncGenerator[Any]:
            async with connect() as connection:
                yield _Mortal(connection, self.require)

        pool._connection = mortal  # pyright: ignore[reportPrivateUsage]


class _Mortal:
    """A connection over which a dead one says nothing any more, but that it goes."""

    def __init__(self, connection: Any, require: Callable[[], None]) -> None:
        self._connection = connection
        self._require = require

    def __getattr__(self, name: str) -> Any:
        if name in {"execute", "fetch", "executemany"}:
            return self._statement(name)
        return getattr(self._connection, name)

    def _statement(self, name: str) -> Callable[..., Any]:
        async def run(sql: str, *args: Any, **options: Any) -> Any:
            if sql != "ROLLBACK":
                self._require()
            return await getattr(self._connection, name)(sql, *args, **options)

        return run


class Late:
    """One call that is held up on its way, long after whoever made it has given it up, and takes effect when it is released."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reached = asyncio.Event()
        self.over = asyncio.Event()
        self._released = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None

    def release(self) -> None:
        """Let it go on."""
        self._released.set()

    def takes(self, name: str) -> bool:
        """Whether this call is the one; there is one only."""
        return name == self.name and not self.reached.is_set()

    def carry(self, inner: AsyncBaseTransport, request: Request) -> None:
        """Keep it for later."""
        self._sending = asyncio.create_task(self._send(inner, request))
        self.reached.set()

    async def _send(self, inner: AsyncBaseTransport, request: Request) -> None:
        await self._released.wait()
        response = await inner.handle_async_request(request)
        await response.aread()
        self.over.set()


class Wire(AsyncBaseTransport):
    """The way to one outside API: every call is two moments, "before GET /servers/*" and "after GET /servers/*"."""

    def __init__(
        self, inner: AsyncBaseTransport, life: Life, *, count: Callable[[str], None], late: list[Late]
    ) -> None:
        self._inner = inner
        self._life = life
        self._count = count
        self._late = late

    async def handle_async_request(self, request: Request) -> Response:
        """Call, unless dead."""
        name = f"{request.method} {_NAME.sub('/*', request.url.path)}"
        await self._life.reach(f"before {name}")
        if self._life.died.is_set():
            raise ConnectError("this process is dead")
        self._count(name)
        for late in self._late:
            if late.takes(name):
                late.carry(self._inner, request)
                await asyncio.Event().wait()
        response = await self._inner.handle_async_request(request)
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            self._count("refused")
        await self._life.reach(f"after {name}")
        return response


def watch_steps(reach: Callable[[str], Any]) -> Callable[[], None]:
    """Make the engine's own steps moments (doing, did, told, undoing, undid); returns what undoes it."""
    attempt, end = Drive._attempt, Drive._end  # pyright: ignore[reportPrivateUsage]

    async def watched_attempt(self: Drive, row: Any, context: Any, verb: Any, *, undoing: bool, following: Any) -> None:
        await reach(f"{'undoing' if undoing else 'doing'} {row.name}")
        await attempt(self, row, context, verb, undoing=undoing, following=following)

    async def watched_end(self: Drive, row: Any, record: Any, *, state: str, following: Any) -> None:
        await reach(f"{'undid' if state == 'compensated' else 'did'} {row.name}")
        await end(self, row, record, state=state, following=following)
        await reach(f"told {row.name}")

    def undo() -> None:
        Drive._attempt, Drive._end = attempt, end  # pyright: ignore[reportPrivateUsage]

    Drive._attempt, Drive._end = watched_attempt, watched_end  # pyright: ignore[reportPrivateUsage]
    return undo


@contextmanager
def generous_budgets() -> Generator[None]:
    """Whoever is built meanwhile has budgets of calls that are never used up, as an account that is watched all the time needs."""
    init = RateBudget.__init__

    def generous(self: RateBudget, database: Database, *, name: str, **_: float) -> None:
        init(self, database, name=name, size=1_000_000, rate=1_000.0)

    RateBudget.__init__ = generous
    try:
        yield
    finally:
        RateBudget.__init__ = init
