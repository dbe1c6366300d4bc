"""A mutation: rate limit, one transaction behind the tenant's wall, idempotency, audit; the same for every route that changes something."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Request
from starlette.responses import Response

from clawdeploy_api import audit, idempotency
from clawdeploy_api.api_keys import Person
from clawdeploy_api.audit import Actor
from clawdeploy_api.authentication import SignedIn
from clawdeploy_api.errors import TooManyRequests
from clawdeploy_api.gateway import Gateway, TheGateway
from clawdeploy_api.idempotency import Answer, Scope, StoredAnswer
from clawdeploy_api.rate_limits import Limit
from clawdeploy_common.work import UnitOfWork

Effect = Callable[[UnitOfWork], Awaitable[Answer]]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Any unique text. The same request sent again within seven days with the same key takes effect once "
        "and has the same answer.",
        examples=["9b2f6a1e-create-demo"],
    ),
]


class Mutation:
    """One request that changes something."""

    def __init__(self, gateway: Gateway, person: Person, *, actor: Actor, scope: Scope | None) -> None:
        self.gateway = gateway
        self.person = person
        self.actor = actor
        self._scope = scope

    async def run(self, effect: Effect, *, limits: Sequence[Limit] = (), as_owner: bool = False) -> Response:
        """Let the effect happen once and answer; ``as_owner`` is for what crosses accounts."""
        gateway = self.gateway
        try:
            headers = await gateway.limits.admit(self.person.account_id, [gateway.limits.mutations, *limits])
        except TooManyRequests:
            if (before := await self._answered_before()) is None:
                raise
            return _response(before, {})
        database = gateway.database
        opened = database.transaction() if as_owner else database.web_transaction(self.person.account_id)
        async with opened as unit:
            answer = await idempotency.once(unit, self._scope, lambda: effect(unit))
        return _response(answer, headers)

    async def note(self, action: str, *, subject: UUID, details: dict[str, Any] | None = None) -> None:
        """Limit and write down what another service is asked to do next; before it is done, so that nothing is done unnoted."""
        await self.gateway.limits.admit(self.person.account_id, [self.gateway.limits.mutations])
        async with self.gateway.database.web_transaction(self.person.account_id) as unit:
            await audit.write(unit, self.actor, action, subject=subject, details=details)

    async def _answered_before(self) -> StoredAnswer | None:
        """What a request beyond the limit may still have: the answer it had already."""
        if self._scope is None:
            return None
        async with self.gateway.database.web_transaction(self.person.account_id) as unit:
            return await idempotency.answered(unit, self._scope)


async def _mutation(request: Request, gateway: TheGateway, person: SignedIn, key: Key = None) -> Mutation:
    address = request.client.host if request.client else None
    actor = Actor(account_id=person.account_id, key_id=person.key_id, address=address)
    return Mutation(gateway, person, actor=actor, scope=await _scope(request, person, key))


async def _scope(request: Request, person: Person, key: str | None) -> Scope | None:
    if key is None:
        return None
    route = "/" + request.url.path.split("/", 2)[2]  # /v1/… and its alias /api/… are one route
    body_hash = idempotency.fingerprint(await request.body())
    return Scope(account_id=person.account_id, method=request.method, route=route, key=key, body_hash=body_hash)


def _response(answer: StoredAnswer, headers: dict[str, str]) -> Response:
    if answer.location:
        headers = {**headers, "Location": answer.location}
    if answer.repeated:
        headers = {**headers, "Idempotency-Replayed": "true"}
    return Response(answer.body, status_code=answer.status, headers=headers, media_type="application/json")


TheMutation = Annotated[Mutation, Depends(_mutation)]
