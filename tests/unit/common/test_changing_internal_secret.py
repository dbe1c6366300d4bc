"""The internal secret is changed while the platform runs: services at neighbouring stages of the change understand each other."""

from itertools import pairwise

import pytest
from fastapi import APIRouter
from pydantic import ValidationError
from sqlalchemy import MetaData

from clawdeploy_common.http import ASGITransport, AsyncClient
from clawdeploy_common.internal import Caller
from clawdeploy_common.service import Service
from clawdeploy_common.settings import ServiceSettings

OLD, NEW = "the old secret of one platform's services", "the new secret of one platform's services"
# the procedure of docs/key-rotation.md: (secret, previous) before it and after each of its three restarts
STAGES = [(OLD, None), (OLD, NEW), (NEW, OLD), (NEW, None)]
Stage = tuple[str, str | None]


def service(name: str, stage: Stage) -> Service:
    secret, previous = stage
    settings = ServiceSettings.model_validate(
        {
            "port": 0,
            "database_url": "postgresql://nobody@127.0.0.1:9/none",
            "database_web_url": "postgresql://nobody@127.0.0.1:9/none",
            "kafka_bootstrap_servers": "127.0.0.1:9",
            "internal_secret": secret,
            "internal_secret_previous": previous,
        }
    )
    return Service(settings, name=name, package_file=__file__, metadata=MetaData())


async def answer(called: Service, calling: Service) -> int:
    """What a route of one service answers to another's token."""
    router = APIRouter()

    @router.get("/who")
    async def who(caller: Caller) -> str:
        return caller.issuer

    app = called.app(title="called", routers=[router])
    token = calling.tokens.issue(called.name)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://called") as client:
        return (await client.get("/who", headers={"Authorization": f"Bearer {token}"})).status_code


@pytest.mark.parametrize(("earlier", "later"), list(pairwise(STAGES)), ids=["to a", "to b", "to c"])
async def test_services_at_neighbouring_stages_understand_each_other(earlier: Stage, later: Stage) -> None:
    """INVARIANT: in a rolling restart of any of the three steps no internal call is refused."""
    one, other = service("api", earlier), service("provisioner", later)
    assert [await answer(other, one), await answer(one, other)] == [200, 200]


async def test_without_the_first_step_calls_would_be_refused() -> None:
    one, other = service("api", STAGES[0]), service("provisioner", STAGES[2])
    assert [await answer(other, one), await answer(one, other)] == [200, 401]


async def test_after_the_change_the_old_secret_opens_nothing() -> None:
    """INVARIANT: a secret that was changed away is worth nothing."""
    assert await answer(service("provisioner", STAGES[3]), service("api", STAGES[0])) == 401


def test_an_empty_variable_is_no_previous_secret_and_a_short_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAWDEPLOY_INTERNAL_SECRET_PREVIOUS", "")
    given = {"port": 0, "database_url": "postgresql://x@y/z", "database_web_url": "postgresql://x@y/z"}
    settings = ServiceSettings.model_validate(
        {**given, "kafka_bootstrap_servers": "127.0.0.1:9", "internal_secret": NEW}
    )
    assert settings.internal_secret_previous is None
    with pytest.raises(ValidationError, match="internal_secret_previous"):
        service("api", (OLD, "short"))
