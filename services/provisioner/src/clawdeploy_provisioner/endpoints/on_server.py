"""Routes the gateway forwards on-server agents to; the agent's own secret travels in a header beside the internal token."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header
from pydantic import BaseModel

from clawdeploy_common.internal import Caller
from clawdeploy_provisioner.on_server import program
from clawdeploy_provisioner.on_server.desk import AgentDesk
from clawdeploy_provisioner.on_server.messages import (
    AgentConfigurationAnswer,
    ConfigurationResult,
    Heartbeat,
    Instructions,
    Registered,
)

Secret = Annotated[str, Header(alias="X-Agent-Secret", max_length=200)]


class Program(BaseModel):
    """The agent's one file and its SHA-256."""

    source: str
    sha256: str


def on_server_router(desk: AgentDesk) -> APIRouter:
    """Routes under ``/internal/agent``."""
    router = APIRouter(prefix="/internal/agent", include_in_schema=False)

    @router.post("/register", status_code=201)
    async def register(_: Caller, secret: Secret) -> Registered:
        return await desk.register(secret)

    @router.post("/heartbeat")
    async def heartbeat(_: Caller, secret: Secret, body: Heartbeat) -> Instructions:
        return await desk.heartbeat(secret, body)

    @router.get("/configuration")
    async def configuration(_: Caller, secret: Secret) -> AgentConfigurationAnswer:
        return await desk.configuration(secret)

    @router.post("/configuration/{configuration_id}/result", status_code=204)
    async def result(_: Caller, secret: Secret, configuration_id: UUID, body: ConfigurationResult) -> None:
        await desk.acknowledge(secret, configuration_id, body)

    @router.get("/program")
    async def get_program(_: Caller) -> Program:
        return Program(source=program.source().decode(), sha256=program.sha256())

    return router
