"""Talking to the agent itself: its logs and its chat. They pass through to the provisioner, which knows where it runs."""

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from starlette.responses import Response

from clawdeploy_api import operation_rows
from clawdeploy_api.api_keys import Person
from clawdeploy_api.authentication import SignedIn
from clawdeploy_api.endpoints.documented import EventStream, InstanceId, Tail, TailFirst, problems
from clawdeploy_api.endpoints.operations import Logs
from clawdeploy_api.forwarding import Target
from clawdeploy_api.gateway import Gateway, TheGateway

router = APIRouter(prefix="/instances/{instance_id}", tags=["agent"])

_COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_795_255_200,
    "model": "openclaw",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"},
    ],
}


class ChatRequest(BaseModel):
    """An OpenAI-compatible chat request; what is not named here is passed on as it is."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"examples": [{"messages": [{"role": "user", "content": "Hello!"}]}]}
    )

    messages: list[dict[str, JsonValue]] = Field(min_length=1, max_length=2000)
    stream: bool = False


@router.get("/logs", responses=problems(404, 409), summary="Read an agent's log")
async def get_logs(instance_id: InstanceId, gateway: TheGateway, person: SignedIn, tail: Tail = 100) -> Logs:
    """The last lines, redacted; kept for a while after a crash and destroy."""
    await _require(gateway, person, instance_id)
    return Logs.model_validate(await gateway.forwarder.get(_target(person, instance_id, "logs", tail=tail)))


@router.get("/logs/stream", response_class=EventStream, responses=problems(404, 409), summary="Follow an agent's log")
async def follow_logs(
    instance_id: InstanceId, gateway: TheGateway, person: SignedIn, tail: TailFirst = 100
) -> Response:
    """The last lines and every new one, as server-sent events of type `line`."""
    await _require(gateway, person, instance_id)
    return await gateway.forwarder.stream("GET", _target(person, instance_id, "logs/stream", tail=tail))


@router.post(
    "/chat/completions",
    response_class=Response,
    responses={
        200: {
            "description": "The agent's answer; server-sent events when `stream` is true",
            "content": {
                "application/json": {"example": _COMPLETION},
                "text/event-stream": {"schema": {"type": "string"}},
            },
        },
        **problems(400, 404, 409, 413, 415, 429),
    },
    summary="Chat with an agent",
)
async def chat(
    instance_id: InstanceId, body: ChatRequest, request: Request, gateway: TheGateway, person: SignedIn
) -> Response:
    """OpenAI-compatible. When the caller leaves, the agent stops writing. An agent that does not run answers `not-running`."""
    del body  # validated; what goes on is what came
    await _require(gateway, person, instance_id)
    target = _target(person, instance_id, "chat/completions")
    return await gateway.forwarder.stream("POST", target, body=await request.body())


async def _require(gateway: Gateway, person: Person, instance_id: InstanceId) -> None:
    async with gateway.database.web_transaction(person.account_id) as unit:
        await operation_rows.require_instance(unit, person.account_id, instance_id)


def _target(person: Person, instance_id: InstanceId, what: str, *, tail: int | None = None) -> Target:
    path = f"/internal/instances/{instance_id}/{what}"
    return Target(service="provisioner", path=path, account_id=person.account_id, query={"tail": tail})
