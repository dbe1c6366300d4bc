"""The contexts commands and views run in, from a request."""

from collections.abc import Mapping
from uuid import UUID

from clawdeploy_api.api_keys import Person
from clawdeploy_api.audit import Actor
from clawdeploy_api.context import Context
from clawdeploy_api.gateway import Gateway
from clawdeploy_api.mutations import Mutation
from clawdeploy_api.status import Observation


def context_of(
    mutation: Mutation, *, price_version: int, observed: Mapping[UUID, Observation] | None = None
) -> Context:
    """For a change."""
    return Context(
        person=mutation.person,
        actor=mutation.actor,
        settings=mutation.gateway.settings,
        price_version=price_version,
        observed=observed or {},
    )


async def acting_context(mutation: Mutation) -> Context:
    """For a change that depends on what is observed now."""
    prices = await mutation.gateway.prices.current()
    observed = await mutation.gateway.observations.of(mutation.person.account_id)
    return context_of(mutation, price_version=prices.version, observed=observed)


async def reading_context(gateway: Gateway, person: Person) -> Context:
    """For a look."""
    actor = Actor(account_id=person.account_id, key_id=person.key_id, address=None)
    observed = await gateway.observations.of(person.account_id)
    return Context(person=person, actor=actor, settings=gateway.settings, price_version=0, observed=observed)
