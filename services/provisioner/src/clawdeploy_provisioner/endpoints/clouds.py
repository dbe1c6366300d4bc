"""The operator's cloud accounts, as the clouds see them."""

from collections.abc import Collection, Mapping

from fastapi import APIRouter

from clawdeploy_common.errors import Conflict, NotFound
from clawdeploy_common.internal import Operator
from clawdeploy_provisioner.providers.cloud.client import CloudRefused
from clawdeploy_provisioner.providers.cloud.survey import Survey, Surveyor


class SurveyedProvider(Survey):
    """One account, and whether a stand-in plays it."""

    provider: str
    emulated: bool


def clouds_router(surveyors: Mapping[str, Surveyor], *, emulated: Collection[str]) -> APIRouter:
    """``/internal/operator/providers/{name}``, asked of the cloud at every call."""
    router = APIRouter(prefix="/internal/operator", include_in_schema=False)

    @router.get("/providers/{name}")
    async def provider(name: str, _: Operator) -> SurveyedProvider:
        surveyor = surveyors.get(name)
        if surveyor is None:
            raise NotFound(f"no cloud account {name} is connected; connected are {', '.join(surveyors) or 'none'}")
        try:
            found = await surveyor()
        except CloudRefused as error:
            raise Conflict(str(error)) from error
        return SurveyedProvider(provider=name, emulated=name in emulated, **dict(found))

    return router
