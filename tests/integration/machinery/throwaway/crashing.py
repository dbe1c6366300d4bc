"""A service with a route that crashes over a secret: ``python -m tests.integration.machinery.throwaway.crashing``."""

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import MetaData

from clawdeploy_common.service import Service, serve
from clawdeploy_common.settings import ServiceSettings

PLANTED = "a bot token that only this instance knows"


class Strict(BaseModel):
    """What refuses everything that is not a number."""

    number: int


def main() -> None:
    """Serve until told to stop."""
    settings = ServiceSettings.model_validate({})
    service = Service(settings, name="monitor", package_file=__file__, metadata=MetaData())
    router = APIRouter()

    @router.get("/crash")
    async def crash() -> None:
        local = settings.internal_secret.get_secret_value()
        try:
            Strict.model_validate({"number": PLANTED})
        except ValueError as error:
            raise RuntimeError(f"signed with {local}, sent with Bearer abcdefghijklmnop") from error

    serve(service, service.app(title="Crashing", routers=[router]))


if __name__ == "__main__":
    main()
