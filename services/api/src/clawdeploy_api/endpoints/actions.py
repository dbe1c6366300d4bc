"""Actions on an instance: a path of its own each, and one that takes the action's name."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Body
from starlette.responses import Response

from clawdeploy_api import changing
from clawdeploy_api.actions import Action
from clawdeploy_api.endpoints.contexts import acting_context
from clawdeploy_api.endpoints.documented import InstanceId, mutation_problems
from clawdeploy_api.idempotency import Answer
from clawdeploy_api.mutations import Mutation, TheMutation
from clawdeploy_api.public.instance import FRESH, ActionRequest, Instance, Redeployment
from clawdeploy_common.work import UnitOfWork

router = APIRouter(prefix="/instances/{instance_id}", tags=["actions"])

_ABOUT: dict[Action, tuple[str, str]] = {
    "start": ("Start an instance", "A paused one is resumed; one that runs stays as it is."),
    "stop": ("Stop an instance", "Its server stays, and so does what it knows."),
    "restart": ("Restart an instance", "Stops and starts it."),
    "pause": ("Pause an instance", "Shuts its server down at the provider, whose charge goes on."),
    "resume": ("Resume an instance", "Brings a paused one back."),
}


_MANNER = (
    " Idempotent: what is so already answers the instance unchanged. "
    "While one operation runs, one more may wait; a second one is refused with `operation-waiting`."
)


async def _act(mutation: Mutation, instance_id: InstanceId, action: Action, *, how: Redeployment = FRESH) -> Response:
    context = await acting_context(mutation)

    async def effect(unit: UnitOfWork) -> Answer:
        return Answer(status=202, body=await changing.act(unit, context, instance_id, action, how=how))

    limits = [mutation.gateway.limits.deploys] if action == "redeploy" else []
    return await mutation.run(effect, limits=limits)


def _endpoint(action: Action) -> Callable[[InstanceId, TheMutation], Awaitable[Response]]:
    async def endpoint(instance_id: InstanceId, mutation: TheMutation) -> Response:
        return await _act(mutation, instance_id, action)

    return endpoint


for _action, (_summary, _what) in _ABOUT.items():
    router.post(
        f"/{_action}",
        status_code=202,
        response_model=Instance,
        responses=mutation_problems(404),
        name=f"{_action}_instance",
        summary=_summary,
        description=f"{_what}{_MANNER}",
    )(_endpoint(_action))


@router.post(
    "/redeploy",
    status_code=202,
    response_model=Instance,
    responses=mutation_problems(404),
    summary="Redeploy an instance",
    description="Destroys its server and makes a new one under the same id; with `in_place` wipes the server it has, at a cloud account. "
    "With `keep_state` it knows there what it knew: its state is saved before, restored after, and kept until that has succeeded; "
    f"without, its sessions, memory and workspace are lost.{_MANNER}",
)
async def redeploy_instance(
    instance_id: InstanceId, mutation: TheMutation, body: Annotated[Redeployment, Body()] = FRESH
) -> Response:
    return await _act(mutation, instance_id, "redeploy", how=body)


@router.post(
    "/actions",
    status_code=202,
    response_model=Instance,
    responses=mutation_problems(404),
    summary="Do an action by name",
)
async def do_action(instance_id: InstanceId, body: ActionRequest, mutation: TheMutation) -> Response:
    """The same as the action's own path; `destroy` is the same as DELETE."""
    return await _act(mutation, instance_id, body.action, how=body.how)
