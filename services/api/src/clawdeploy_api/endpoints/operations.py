"""Operations and deployments: how far they are, what they wrote, and cancelling one."""

from collections.abc import Sequence
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from clawdeploy_api import audit, operation_rows, requesting
from clawdeploy_api.actions import OUTCOME
from clawdeploy_api.authentication import SignedIn
from clawdeploy_api.endpoints.contexts import context_of
from clawdeploy_api.endpoints.documented import Cursor, InstanceId, Limit, OperationId, mutation_problems, problems
from clawdeploy_api.forwarding import Target
from clawdeploy_api.gateway import Gateway, TheGateway
from clawdeploy_api.idempotency import Answer
from clawdeploy_api.mutations import Mutation, TheMutation
from clawdeploy_api.public.operation import Operation
from clawdeploy_api.requesting import DEPLOYMENTS
from clawdeploy_common.cursors import Page
from clawdeploy_common.work import UnitOfWork

router = APIRouter(tags=["operations"])
deployments = APIRouter(prefix="/deployments", tags=["deployments"])

KINDS = (*OUTCOME, "apply_config")


class Logs(BaseModel):
    """Lines of text, redacted."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"logs": "gateway ready\nchannel telegram is disabled"}]})

    logs: str


@router.get("/instances/{instance_id}/operations", responses=problems(404), summary="List an instance's operations")
async def list_operations(
    instance_id: InstanceId, gateway: TheGateway, person: SignedIn, limit: Limit = 50, cursor: Cursor = None
) -> Page[Operation]:
    """The newest first, with their steps."""
    async with gateway.database.web_transaction(person.account_id) as unit:
        await operation_rows.require_instance(unit, person.account_id, instance_id)
        return await operation_rows.page(
            unit, person.account_id, kinds=KINDS, instance_id=instance_id, cursor=cursor, limit=limit
        )


@router.get("/operations/{operation_id}", responses=problems(404), summary="Show an operation")
async def get_operation(operation_id: OperationId, gateway: TheGateway, person: SignedIn) -> Operation:
    """With every step: what is done, what runs, what is to come."""
    return await _get(gateway, person.account_id, operation_id, kinds=KINDS)


@router.post(
    "/operations/{operation_id}/cancel",
    status_code=202,
    response_model=Operation,
    responses=mutation_problems(404),
    summary="Cancel an operation",
)
async def cancel_operation(operation_id: OperationId, mutation: TheMutation) -> Response:
    """Only a deployment can be cancelled; it undoes what it has done. Asking again changes nothing."""
    return await _cancel(mutation, operation_id, kinds=KINDS)


@deployments.get("", responses=problems(), summary="List deployments")
async def list_deployments(
    gateway: TheGateway, person: SignedIn, limit: Limit = 50, cursor: Cursor = None
) -> Page[Operation]:
    """A deployment is an operation of kind `deploy` or `redeploy`; the newest first."""
    async with gateway.database.web_transaction(person.account_id) as unit:
        return await operation_rows.page(unit, person.account_id, kinds=DEPLOYMENTS, cursor=cursor, limit=limit)


@deployments.get("/{operation_id}", responses=problems(404), summary="Show a deployment")
async def get_deployment(operation_id: OperationId, gateway: TheGateway, person: SignedIn) -> Operation:
    """With every step."""
    return await _get(gateway, person.account_id, operation_id, kinds=DEPLOYMENTS)


@deployments.get("/{operation_id}/logs", responses=problems(404), summary="Read what a deployment wrote")
async def get_deployment_logs(operation_id: OperationId, gateway: TheGateway, person: SignedIn) -> Logs:
    """The output of every step, redacted; kept after failure and destroy."""
    await _get(gateway, person.account_id, operation_id, kinds=DEPLOYMENTS)
    path = f"/internal/operations/{operation_id}/logs"
    target = Target(service="provisioner", path=path, account_id=person.account_id)
    return Logs.model_validate(await gateway.forwarder.get(target))


@deployments.post(
    "/{operation_id}/cancel",
    status_code=202,
    response_model=Operation,
    responses=mutation_problems(404),
    summary="Cancel a deployment",
)
async def cancel_deployment(operation_id: OperationId, mutation: TheMutation) -> Response:
    """It ends between two steps and undoes what it has done. Asking again changes nothing."""
    return await _cancel(mutation, operation_id, kinds=DEPLOYMENTS)


async def _get(gateway: Gateway, account_id: UUID, operation_id: UUID, *, kinds: Sequence[str]) -> Operation:
    async with gateway.database.web_transaction(account_id) as unit:
        return await operation_rows.get(unit, account_id, operation_id, kinds=kinds)


async def _cancel(mutation: Mutation, operation_id: UUID, *, kinds: Sequence[str]) -> Response:
    context = context_of(mutation, price_version=0)

    async def effect(unit: UnitOfWork) -> Answer:
        operation = await operation_rows.get(unit, context.account_id, operation_id, kinds=kinds)
        if await requesting.cancel(unit, context, operation_id):
            await audit.write(unit, context.actor, "operation.cancel", subject=operation_id)
        return Answer(status=202, body=operation)

    return await mutation.run(effect)
