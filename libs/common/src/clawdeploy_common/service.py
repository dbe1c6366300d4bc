"""A service put together: one process that answers HTTP, relays its outbox, consumes its topics and runs its loops."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.telemetry import TelemetryConfig
from sqlalchemy import MetaData

from clawdeploy_common import telemetry
from clawdeploy_common.database import Database
from clawdeploy_common.dead_letters import DeadLetters
from clawdeploy_common.drainer import Drainer
from clawdeploy_common.errors import StartRefused
from clawdeploy_common.events import topic_of
from clawdeploy_common.handlers import Projectors, Reactors
from clawdeploy_common.health import health_router
from clawdeploy_common.inbox import Inbox
from clawdeploy_common.internal import internal_router
from clawdeploy_common.jobs import JobHandler, JobRunner
from clawdeploy_common.logging import configure_logging
from clawdeploy_common.measuring import RequestMetrics
from clawdeploy_common.migrating import migrate
from clawdeploy_common.outages import is_outage
from clawdeploy_common.problems import add_problem_handlers
from clawdeploy_common.relay import Relay
from clawdeploy_common.replay import Replay
from clawdeploy_common.reporting import finish_reporting, start_reporting
from clawdeploy_common.settings import ServiceSettings
from clawdeploy_common.subscription import Subscription
from clawdeploy_common.supervision import TaskGroup
from clawdeploy_common.tokens import InternalTokens
from clawdeploy_common.vitals import Vitals

GRACE_S = 5
_RETRY_S = 1.0
# spans of requests only: FastAPI's logs hold exceptions' texts and refused input; its metrics are Prometheus' here
_TRACED_REQUESTS: TelemetryConfig = {
    "operation_spans": False,
    "logs": False,
    "metrics": False,
    "auto_configure": False,
    "exclude": telemetry.is_quiet,
}


class Service:
    """The machinery of one service, in one place; its composition root adds loops, jobs and routes.

    ``consumes`` names the producing services whose topics it reads, ``package_file`` is the ``__file__`` of its package.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        *,
        name: str,
        package_file: str,
        metadata: MetaData,
        projectors: Projectors | None = None,
        reactors: Reactors | None = None,
        consumes: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.settings = settings
        self.database = Database(settings, producer=name)
        self.tokens = InternalTokens(settings.internal_secret, service=name, previous=settings.internal_secret_previous)
        self.inbox = Inbox(self.database, projectors=projectors or Projectors(), reactors=reactors or Reactors())
        self.relay = Relay(self.database, settings)
        self.dead_letters = DeadLetters(self.database)
        topics = [topic_of(producer) for producer in consumes]
        self.subscriptions = [Subscription(self.database, settings, self.inbox, topic=topic) for topic in topics]
        self.replay = Replay(self.database, settings, self.inbox, topics=topics, metadata=metadata)
        self.stopping = asyncio.Event()
        self.migrated = False
        self._metadata = metadata
        self._package_file = package_file
        self._tasks = TaskGroup()
        self._loops: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._checks: list[Callable[[], Awaitable[None]]] = []
        self._closers: list[Callable[[], Awaitable[None]]] = []

    def add_check(self, check: Callable[[], Awaitable[None]]) -> None:
        """Run before any loop, once the schema is up to date; StartRefused ends the process."""
        self._checks.append(check)

    def add_loop(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Run a loop while the service runs, once its schema is up to date."""
        self._loops.append((name, loop))

    def add_task(self, name: str, task: Callable[[], Awaitable[None]]) -> None:
        """Run something once when the schema is up to date; it is tried again until it succeeds."""

        async def once() -> None:
            await task()
            await asyncio.Event().wait()

        self.add_loop(name, once)

    def react(self, reactors: Reactors) -> None:
        """Set the reactors, when they are built from parts of this service."""
        self.inbox.reactors = reactors

    def add_jobs(self, handlers: dict[str, JobHandler]) -> None:
        """Run the service's jobs."""
        runner = JobRunner(self.database.owner, handlers, wakeup=self.database.jobs_added)
        self.add_loop("jobs", runner.run)

    def on_close(self, closer: Callable[[], Awaitable[None]]) -> None:
        """Call when the service stops, after its loops ended."""
        self._closers.append(closer)

    def app(self, *, title: str, routers: Sequence[APIRouter], **options: Any) -> FastAPI:
        """The HTTP side; ``options`` go to FastAPI."""
        app = FastAPI(title=title, lifespan=self._lifespan, telemetry=_TRACED_REQUESTS, **options)
        app.state.service = self
        app.add_middleware(RequestMetrics)
        add_problem_handlers(app)
        for router in (health_router(self), internal_router(self), *routers):
            app.include_router(router)
        return app

    def trace(self) -> None:
        """Send spans to the collector that the environment names, if it names one, until the service stops."""
        exported = telemetry.start(self.name)
        if exported is not None:
            self.on_close(exported.close)

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncGenerator[None]:
        boot = asyncio.create_task(self._boot())
        boot.add_done_callback(_report)
        try:
            yield
        finally:
            self.stopping.set()
            boot.cancel()
            await asyncio.gather(boot, return_exceptions=True)
            await self._tasks.stop()
            for closer in self._closers:
                await closer()
            await self.database.close()

    async def _boot(self) -> None:
        url = self.settings.database_url.get_secret_value()
        await migrate(url, schema=self.name, package_file=self._package_file, metadata=self._metadata)
        for check in self._checks:
            await _answered(check)
        self.migrated = True
        self._tasks.start("vitals", Vitals(self).run)
        self._tasks.start("relay", self.relay.run)
        self._tasks.start("drainer", Drainer(self.database, self.inbox).run)
        for number, subscription in enumerate(self.subscriptions):
            self._tasks.start(f"subscription-{number}", subscription.run)
        for name, loop in self._loops:
            self._tasks.start(name, loop)


async def _answered(check: Callable[[], Awaitable[None]]) -> None:
    """Run a check; waits while the database is away."""
    while True:
        try:
            return await check()
        except Exception as error:
            if not is_outage(error) and not isinstance(error, OSError):
                raise
            await asyncio.sleep(_RETRY_S)


def _report(boot: asyncio.Task[None]) -> None:
    """A migration that cannot work, or a setting that is wrong, ends the process: a supervisor shows and restarts it."""
    error = None if boot.cancelled() else boot.exception()
    if isinstance(error, StartRefused):
        raise SystemExit(str(error))
    if error is not None:
        raise SystemExit(f"the schema cannot be brought up to date: {error}")


class _Server(uvicorn.Server):
    """uvicorn, telling the service at once when it is asked to stop: open streams end themselves then."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._stopping.set()
        super().handle_exit(sig, frame)


def serve(service: Service, app: FastAPI, *, loop: Literal["uvloop", "asyncio"] = "uvloop") -> None:
    """Run a service until SIGTERM or SIGINT; uvloop cannot start processes under another user, asyncio can."""
    settings = service.settings
    report = start_reporting(settings, service=service.name)
    configure_logging(service=service.name, log_format=settings.log_format, level=settings.log_level, report=report)
    service.trace()
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop=loop,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    service.on_close(
        lambda: asyncio.to_thread(finish_reporting, settings)
    )  # uvicorn ends the process by the signal it got
    _Server(config, service.stopping).run()
