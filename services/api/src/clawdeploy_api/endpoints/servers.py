"""Operators: the servers that are recorded, at every provider, and machines of their own."""

import json
from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from clawdeploy_api import audit
from clawdeploy_api.authentication import OperatorSignedIn
from clawdeploy_api.endpoints.documented import Cursor, Limit, mutation_problems, problems
from clawdeploy_api.forwarding import Target
from clawdeploy_api.gateway import TheGateway
from clawdeploy_api.idempotency import Answer
from clawdeploy_api.mutations import TheMutation
from clawdeploy_api.public.server import AddServer, RecordedServer
from clawdeploy_common.cursors import Page
from clawdeploy_common.work import UnitOfWork

router = APIRouter(prefix="/admin", tags=["admin"])

ServerId = Annotated[UUID, Path(description="id of a server", examples=["01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e03"])]
Lost = Annotated[
    bool,
    Query(
        description="also one that is `releasing` and does not come back: what is on it stays there", examples=[False]
    ),
]


@router.get("/servers", responses=problems(403), summary="List servers")
async def list_servers(
    gateway: TheGateway,
    _: OperatorSignedIn,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[RecordedServer]:
    """Every server of every account, the oldest first, with those that are destroyed, and the operator's own machines."""
    target = _target("", query={"cursor": cursor, "limit": limit})
    return Page[RecordedServer].model_validate(await gateway.forwarder.get(target))


@router.get("/servers/{server_id}", responses=problems(403, 404), summary="Show a server")
async def show_server(server_id: ServerId, gateway: TheGateway, _: OperatorSignedIn) -> RecordedServer:
    """As it is recorded now."""
    return RecordedServer.model_validate(await gateway.forwarder.get(_target(f"/{server_id}")))


@router.post(
    "/servers",
    status_code=201,
    response_model=RecordedServer,
    responses=mutation_problems(403),
    summary="Add a machine of your own",
)
async def add_server(body: AddServer, mutation: TheMutation, _: OperatorSignedIn) -> Response:
    """A home server, bare metal, a VPS from anywhere: with systemd, Debian or Ubuntu, and an SSH server the platform can reach. It is
    looked at over SSH before it is `free`. The same machine again is the one that is there.
    """
    given = body.model_dump() | {"ssh_private_key": body.ssh_private_key.get_secret_value()}

    async def effect(unit: UnitOfWork) -> Answer:
        answer = await mutation.gateway.forwarder.post(_target(""), body=json.dumps(given).encode())
        server = RecordedServer.model_validate(answer)
        await audit.write(unit, mutation.actor, "server.add", subject=server.id, details={"name": body.name})
        return Answer(status=201, body=server, location=f"/v1/admin/servers/{server.id}")

    response = await mutation.run(effect)
    mutation.gateway.engines.forget()
    return response


@router.delete(
    "/servers/{server_id}", status_code=204, responses=mutation_problems(403), summary="Remove a machine of your own"
)
async def remove_server(server_id: ServerId, mutation: TheMutation, _: OperatorSignedIn, lost: Lost = False) -> None:
    """Forget a machine on which no agent is; 409 names the instance whose agent is, and refuses rented servers, which go with
    their instances. One that is gone already is no error.
    """
    await mutation.note("server.remove", subject=server_id, details={"lost": lost})
    await mutation.gateway.forwarder.delete(_target(f"/{server_id}", query={"lost": "true" if lost else None}))
    mutation.gateway.engines.forget()


@router.post(
    "/servers/{server_id}/reboot", status_code=204, responses=mutation_problems(403, 404), summary="Restart a server"
)
async def reboot_server(server_id: ServerId, mutation: TheMutation, _: OperatorSignedIn) -> None:
    """As its reset button does, for one whose agent is not heard of any more; answered when the cloud has taken it on. Its agent and
    OpenClaw come up by themselves. 409 for servers that have no machine of a cloud account.
    """
    await mutation.note("server.reboot", subject=server_id)
    await mutation.gateway.forwarder.post(_target(f"/{server_id}/reboot", timeout_s=30.0))


def _target(path: str, *, query: Mapping[str, str | int | None] | None = None, timeout_s: float = 10.0) -> Target:
    return Target(
        service="provisioner",
        path=f"/internal/operator/servers{path}",
        account_id=None,
        operator=True,
        query=query or {},
        timeout_s=timeout_s,
    )
