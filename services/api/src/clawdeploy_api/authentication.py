"""Who calls: an API key in the Authorization header."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from clawdeploy_api.api_keys import Person
from clawdeploy_api.gateway import TheGateway
from clawdeploy_common.errors import Forbidden, Unauthorized

_MAX_KEY = 200
_bearer = HTTPBearer(
    auto_error=False, scheme_name="api_key", description="An API key of an account: `claw auth token` prints yours."
)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def signed_in(gateway: TheGateway, credentials: Credentials) -> Person:
    """The caller; raises Unauthorized."""
    if credentials is None or len(credentials.credentials) > _MAX_KEY:
        raise Unauthorized("send an API key: Authorization: Bearer claw_…")
    await gateway.bootstrap.wait()
    person = await gateway.keys.find(credentials.credentials)
    if person is None:
        raise Unauthorized("this API key opens nothing here")
    return person


async def operator(person: Annotated[Person, Depends(signed_in)]) -> Person:
    """The caller, when operators' routes are open to it; raises Forbidden."""
    if not person.is_operator:
        raise Forbidden("operators only")
    return person


SignedIn = Annotated[Person, Depends(signed_in)]
OperatorSignedIn = Annotated[Person, Depends(operator)]


def bearer_of(request: Request) -> str:
    """The key a request came with, to be checked again while a stream is open."""
    return request.headers.get("authorization", "").partition(" ")[2]
