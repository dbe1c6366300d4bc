"""A service whose events are the platform's most frequent ones, for both sides: the same rows, the same records, the same SQL."""

import json
from collections.abc import Sequence
from itertools import count
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Uuid, bindparam, text

from clawdeploy_common import events
from clawdeploy_common.clock import utc_now
from clawdeploy_common.database import Database
from clawdeploy_common.events import SOURCE_PREFIX, Envelope, encode
from clawdeploy_common.handlers import Projectors, Received
from clawdeploy_common.ids import new_id
from clawdeploy_common.settings import ServiceSettings
from clawdeploy_common.work import Projection
from clawdeploy_events.lifecycle import OperationKind, OperationStepChanged, StepState
from tests.bench.engines import migrated
from tests.engines.databases import Database as TestDatabase
from tests.integration.machinery import throwaway
from tests.integration.machinery.machine import settings_for
from tests.integration.machinery.throwaway.models import metadata

PARTITIONS = 24
TALLY = """
    INSERT INTO tallies AS t (key, total, events, last_version)
    SELECT key, amount, 1, version FROM unnest({keys}, {amounts}, {versions}) AS i(key, amount, version)
    ON CONFLICT (key) DO UPDATE SET total = t.total + excluded.total, events = t.events + 1, last_version = excluded.last_version
"""
_TALLY = text(TALLY.format(keys=":keys", amounts=":amounts", versions=":versions")).bindparams(
    bindparam("keys", type_=ARRAY(Uuid)),
    bindparam("amounts", type_=ARRAY(BigInteger)),
    bindparam("versions", type_=ARRAY(BigInteger)),
)
_FILL = text(
    """
    INSERT INTO outbox (event_id, key, version, type, time, account_id, correlation_id, data)
    SELECT gen_random_uuid(), (:keys)[1 + n % :spread], 1 + n / :spread, :type, clock_timestamp(), :account, :account, :data
    FROM generate_series(0, :count - 1) AS n
    """
).bindparams(bindparam("keys", type_=ARRAY(Uuid)), bindparam("account", type_=Uuid))
_numbers = count()


def own_topic(producer: str) -> str:
    """Give a producing service a topic that nobody used before."""
    events.TOPICS[producer] = f"bench-{next(_numbers)}-{new_id().hex[:8]}"
    return events.topic_of(producer)


async def prepared(database: TestDatabase, service: str) -> None:
    """The machinery's tables and one projection."""
    await migrated(database, service, package_file=throwaway.__file__, metadata=metadata)


def settings_of(service: str, database: TestDatabase, broker: str) -> ServiceSettings:
    """Settings as in production: 24 partitions."""
    return settings_for(service, database, broker).model_copy(update={"kafka_partitions": PARTITIONS})


def an_event() -> OperationStepChanged:
    """A step that changed, about 250 bytes of JSON."""
    return OperationStepChanged(
        operation_id=new_id(),
        kind=OperationKind.DEPLOY,
        step="write_configuration",
        state=StepState.RUNNING,
        attempt=1,
        message="Writing the configuration of this agent",
        changed_at=utc_now(),
    )


def some_keys(number: int) -> list[UUID]:
    """Keys of aggregates."""
    return [new_id() for _ in range(number)]


async def fill_outbox(database: Database, *, number: int, spread: int) -> None:
    """Unpublished rows, spread over keys, in the order of their versions."""
    event = an_event()
    values = {
        "keys": some_keys(spread),
        "spread": spread,
        "count": number,
        "type": event.event_type,
        "account": new_id(),
        "data": encode(event),
    }
    async with database.connection() as connection:
        await connection.execute(_FILL, values)


def envelopes(*, number: int, spread: int, producer: str = "provisioner") -> list[Envelope]:
    """The same events as they travel."""
    keys, account, data, event = some_keys(spread), new_id(), encode(an_event()), an_event()
    return [
        Envelope(
            id=new_id(),
            source=SOURCE_PREFIX + producer,
            type=event.event_type,
            key=keys[n % spread],
            version=1 + n // spread,
            time=utc_now(),
            account_id=account,
            correlation_id=account,
            log_epoch=1,
            data=data,
        )
        for n in range(number)
    ]


def tallying() -> Projectors:
    """One projector with one statement a wave."""
    projectors = Projectors()

    @projectors.on(OperationStepChanged)
    async def step_changed(received: Sequence[Received[OperationStepChanged]], projection: Projection) -> None:
        values = {
            "keys": [each.envelope.key for each in received],
            "amounts": [each.event.attempt for each in received],
            "versions": [each.envelope.version for each in received],
        }
        await projection.session.execute(_TALLY, values)

    return projectors


def bare_waves(records: Sequence[Any]) -> list[dict[str, tuple[int, int]]]:
    """What the bare consumer makes of a batch: decoded, split so that each statement names a key once."""
    result: list[dict[str, tuple[int, int]]] = []
    depth: dict[str, int] = {}
    for record in records:
        key = record.key.decode()
        at = depth.get(key, 0)
        depth[key] = at + 1
        if at == len(result):
            result.append({})
        result[at][key] = (json.loads(record.value)["attempt"], record.offset)
    return result
