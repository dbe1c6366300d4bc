"""Where on-server agents call. Their secrets are the provisioner's to judge; here they only pass through."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Path
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.responses import Response

from clawdeploy_api.endpoints.documented import problems
from clawdeploy_api.errors import Refused
from clawdeploy_api.forwarding import Target
from clawdeploy_api.gateway import TheGateway
from clawdeploy_api.public.on_server import (
    AgentConfiguration,
    AgentHeartbeat,
    AgentInstructions,
    ConfigurationResult,
    Registered,
    Registration,
)
from clawdeploy_common.errors import Unauthorized

router = APIRouter(prefix="/agent", tags=["on-server agent"])

_NOT_MODIFIED = 304
_MAX_SECRET = 200
_HELD_S = 35.0
ConfigurationId = Annotated[
    UUID, Path(description="id of a configuration", examples=["01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e05"])
]


class AgentUnknown(Unauthorized):
    """The token or credential opens nothing."""

    code = "agent-unknown"
    title = "This token or credential is not known"


_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="agent_secret",
    description="A server's registration token, then its agent's credential.",
)


def presented(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> str:
    """The token or credential of a request; raises AgentUnknown."""
    if credentials is None or len(credentials.credentials) > _MAX_SECRET:
        raise AgentUnknown
    return credentials.credentials


Secret = Annotated[str, Depends(presented)]


@router.post("/register", status_code=201, responses=problems(400, 413, 415), summary="Register an on-server agent")
async def register_agent(body: Registration, gateway: TheGateway, secret: Secret) -> Registered:
    """Exchange the server's registration token for a credential of the agent's own."""
    del body
    async with _judged():
        return Registered.model_validate(await gateway.forwarder.post(_target("register", secret)))


@router.post("/heartbeat", responses=problems(400, 413, 415), summary="Say how a server is")
async def agent_heartbeat(body: AgentHeartbeat, gateway: TheGateway, secret: Secret) -> AgentInstructions:
    """Every `heartbeat_seconds`; the answer says what the agent is to bring about.

    The answer to an agent at rest that says what it has `heard` is held open for up to 25 s, until something else is wanted.
    """
    async with _judged():
        target = replace(_target("heartbeat", secret), timeout_s=_HELD_S, is_held=True)
        answer = await gateway.forwarder.post(target, body=body.model_dump_json().encode())
        return AgentInstructions.model_validate(answer)


@router.get(
    "/configuration",
    response_model=AgentConfiguration,
    responses={_NOT_MODIFIED: {"description": "The agent has it already"}, **problems(404)},
    summary="Fetch a server's configuration",
)
async def agent_configuration(
    gateway: TheGateway,
    secret: Secret,
    known: Annotated[
        str | None, Header(alias="If-None-Match", description="the id in place, quoted", examples=['"01936f2e"'])
    ] = None,
) -> AgentConfiguration | Response:
    """The configuration that should be in place, with the secrets it names; only the instance's own agent can ask."""
    async with _judged():
        found = AgentConfiguration.model_validate(await gateway.forwarder.get(_target("configuration", secret)))
    return Response(status_code=_NOT_MODIFIED) if known == f'"{found.id}"' else found


@router.post(
    "/configuration/{configuration_id}/result",
    status_code=204,
    responses=problems(400, 404, 413, 415),
    summary="Say what became of a configuration",
)
async def configuration_result(
    configuration_id: ConfigurationId, body: ConfigurationResult, gateway: TheGateway, secret: Secret
) -> None:
    """Applied, rejected by OpenClaw's own check, or rolled back because OpenClaw did not come up."""
    async with _judged():
        target = _target(f"configuration/{configuration_id}/result", secret)
        await gateway.forwarder.post(target, body=body.model_dump_json().encode())


_PROGRAM = {"schema": {"type": "string"}, "example": '"""The on-server agent."""\n'}


@router.get(
    "/program",
    response_class=Response,
    responses={
        200: {"description": "One Python file", "content": {"text/x-python": _PROGRAM}},
        503: problems()[503],
    },
    summary="The on-server agent's program",
)
async def agent_program(gateway: TheGateway) -> Response:
    """What the bootstrap puts on a server; its SHA-256 is in `X-Content-SHA256`, and in the user data that asks for it."""
    found: dict[str, Any] = await gateway.forwarder.get(_target("program", ""))
    headers = {"X-Content-SHA256": found["sha256"], "ETag": f'"{found["sha256"]}"'}
    return Response(found["source"].encode(), media_type="text/x-python", headers=headers)


@asynccontextmanager
async def _judged() -> AsyncGenerator[None]:
    """The provisioner says that it does not know the secret; to the agent that is 401."""
    try:
        yield
    except Refused as error:
        if error.code == AgentUnknown.code:
            raise AgentUnknown from error
        raise


def _target(path: str, secret: str) -> Target:
    return Target(
        service="provisioner", path=f"/internal/agent/{path}", account_id=None, headers={"X-Agent-Secret": secret}
    )
