"""The data plane of an agent: logs, chat, probe. The caller's account decides what can be found."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, JsonValue
from sqlalchemy import text
from starlette.responses import Response, StreamingResponse

from clawdeploy_common.clock import utc_now
from clawdeploy_common.database import Database
from clawdeploy_common.errors import Conflict, NotFound
from clawdeploy_common.internal import Caller
from clawdeploy_common.tokens import InternalPass
from clawdeploy_provisioner.agents import Agents
from clawdeploy_provisioner.openclaw import channel_status
from clawdeploy_provisioner.openclaw.gateway import ChatAnswer, GatewayClient, GatewayError
from clawdeploy_provisioner.providers.protocol import STARTING, Provider, ServerNotFound, ServerState

_INSTANCE = text(
    """
    SELECT i.id, i.deployment, s.id AS server_id, s.provider, s.host, s.port, s.state, s.detail, s.memory_bytes, s.disk_free_bytes
    FROM instances i
    LEFT JOIN servers s ON s.instance_id = i.id AND s.destroyed_at IS NULL AND s.abandoned_at IS NULL AND s.accepted_at IS NOT NULL
    WHERE i.id = :id
    """
)
_KEPT = text(
    """
    SELECT o.line FROM operation_outputs o JOIN operations p ON p.id = o.operation_id
    WHERE p.instance_id = :id ORDER BY o.id DESC LIMIT :tail
    """
)
_OUTPUT = text("SELECT step, line, written_at FROM operation_outputs WHERE operation_id = :id ORDER BY id")
_OPERATION = text("SELECT id FROM operations WHERE id = :id")


class Logs(BaseModel):
    """Lines, joined by newlines."""

    logs: str


class Probe(BaseModel):
    """An agent as its provider and its gateway see it."""

    server_state: str
    detail: str | None
    starting: bool
    channel: str
    channel_detail: str | None
    disk_free_bytes: int | None
    memory_bytes: int | None


class NotRunning(Conflict):
    """There is no running agent to talk to."""

    code = "not-running"
    title = "The agent is not running"


class AgentPlane:
    """The routes' work; every look-up happens behind the caller's tenant wall."""

    def __init__(
        self, database: Database, providers: Mapping[str, Provider], agents: Agents, *, stopping: asyncio.Event
    ) -> None:
        self._database = database
        self._providers = providers
        self._agents = agents
        self._stopping = stopping

    def router(self) -> APIRouter:
        """Routes under ``/internal/instances`` and ``/internal/operations``."""
        router = APIRouter(prefix="/internal", include_in_schema=False)
        router.get("/instances/{instance_id}/logs")(self.logs)
        self._add_stream(router)
        router.post("/instances/{instance_id}/chat/completions", response_model=None)(self.chat)
        router.get("/instances/{instance_id}/probe")(self.probe)
        router.get("/operations/{operation_id}/logs")(self.output)
        return router

    async def logs(self, caller: Caller, instance_id: UUID, tail: Annotated[int, Query(ge=1, le=10_000)] = 100) -> Logs:
        """The last lines; of an instance without a server, or whose server is gone, what its operations kept."""
        row = await self._find(caller, instance_id)
        with suppress(ServerNotFound):
            if row.server_id is not None:
                return Logs(logs="\n".join(await self._providers[row.provider].logs(row.server_id, tail=tail)))
        return Logs(logs="\n".join(await self._kept_lines(caller, instance_id, tail)))

    def _add_stream(self, router: APIRouter) -> None:
        """The look-up is a dependency: once a stream has begun, its status can no longer say that there is nothing."""

        async def followed(caller: Caller, instance_id: UUID) -> Any:
            row = await self._find(caller, instance_id)
            if row.server_id is None or row.state == ServerState.GONE:
                raise NotRunning(f"instance {instance_id} has no server; redeploy makes one")
            return row

        @router.get("/instances/{instance_id}/logs/stream", response_class=EventSourceResponse)
        async def stream_logs(
            row: Annotated[Any, Depends(followed)], tail: Annotated[int, Query(ge=0, le=10_000)] = 100
        ) -> AsyncIterator[ServerSentEvent]:
            """The last lines, then new ones as they are written."""
            async for event in self._events(row, tail):
                yield event

    async def _events(self, row: Any, tail: int) -> AsyncIterator[ServerSentEvent]:
        provider = self._providers[row.provider]
        for line in await provider.logs(row.server_id, tail=tail) if tail else []:
            yield ServerSentEvent(raw_data=line, event="line")
        async for line in _until(self._stopping, provider.follow_logs(row.server_id)):
            yield ServerSentEvent(raw_data=line, event="line")

    async def chat(self, caller: Caller, instance_id: UUID, body: Annotated[dict[str, Any], Body()]) -> Response:
        """Pass a chat request to the agent and its answer back as it comes."""
        row = await self._find(caller, instance_id)
        if row.server_id is None or row.state != ServerState.RUNNING:
            raise NotRunning(f"instance {instance_id} is {row.state or 'not deployed'}")
        gateway = await _gateway(self._agents, row)
        stack = AsyncExitStack()
        answer = await stack.enter_async_context(gateway.chat(body))
        return StreamingResponse(_closing(stack, answer), status_code=answer.status, media_type=answer.content_type)

    async def probe(self, caller: Caller, instance_id: UUID) -> Probe:
        """What the provider and the channels say, for monitor."""
        row = await self._find(caller, instance_id)
        channel, channel_detail = await _channel(self._agents, row)
        return Probe(
            server_state=row.state or ServerState.UNKNOWN,
            detail=row.detail,
            starting=row.detail == STARTING,
            channel=channel,
            channel_detail=channel_detail,
            disk_free_bytes=row.disk_free_bytes,
            memory_bytes=row.memory_bytes,
        )

    async def output(self, caller: Caller, operation_id: UUID) -> Logs:
        """What the steps of an operation wrote."""
        async with self._database.web_transaction(caller.account_id) as unit:
            if await unit.session.scalar(_OPERATION, {"id": operation_id}) is None:
                raise NotFound(f"no operation {operation_id}")
            rows = (await unit.session.execute(_OUTPUT, {"id": operation_id})).all()
        return Logs(logs="\n".join(f"{row.written_at:%H:%M:%S} {row.step}: {row.line}" for row in rows))

    async def _find(self, caller: InternalPass, instance_id: UUID) -> Any:
        async with self._database.web_transaction(caller.account_id) as unit:
            row = (await unit.session.execute(_INSTANCE, {"id": instance_id})).one_or_none()
        if row is None:
            raise NotFound(f"no instance {instance_id}")
        return row

    async def _kept_lines(self, caller: InternalPass, instance_id: UUID, tail: int) -> list[str]:
        async with self._database.web_transaction(caller.account_id) as unit:
            rows = (await unit.session.execute(_KEPT, {"id": instance_id, "tail": tail})).all()
        return [row.line for row in reversed(rows)]


async def _gateway(agents: Agents, row: Any) -> GatewayClient:
    if row.port is None:
        return await agents.gateway_on(row.id, row.server_id)
    return await agents.gateway(row.id, host=row.host, port=row.port)


async def _channel(agents: Agents, row: Any) -> tuple[str, str | None]:
    """Whether the channel works: apart from the process's health, and never a reason to restart."""
    if not any(secret["name"] == "bot_token" for secret in row.deployment.get("secrets", [])):
        return "disabled", None
    if row.state != ServerState.RUNNING:
        return "unknown", None
    try:
        status = await _channels(agents, row)
    except GatewayError:
        return "unknown", None
    return channel_status.judge(status, row.deployment["channel"], now=utc_now())


async def _channels(agents: Agents, row: Any) -> JsonValue:
    """OpenClaw's own word: asked now, or as the server's own agent told it last."""
    if row.port is None:
        return await agents.channels_seen_on(row.server_id)
    gateway = await agents.gateway(row.id, host=row.host, port=row.port)
    return await gateway.rpc("channels.status")


async def _closing(stack: AsyncExitStack, answer: ChatAnswer) -> AsyncIterator[bytes]:
    async with stack:
        async for chunk in answer.chunks:
            yield chunk


async def _until(stopping: asyncio.Event, lines: AsyncIterator[str]) -> AsyncIterator[str]:
    """Lines until they end or the service is asked to stop."""
    stop = asyncio.ensure_future(stopping.wait())
    following = aiter(lines)
    try:
        while True:
            step = asyncio.ensure_future(anext(following))
            done, _ = await asyncio.wait({step, stop}, return_when=asyncio.FIRST_COMPLETED)
            if stop in done:
                step.cancel()
                return
            try:
                yield step.result()
            except StopAsyncIteration:
                return
    finally:
        stop.cancel()
