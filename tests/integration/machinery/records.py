"""Records as a consumer gets them, made from events or from an outbox, without a broker in between."""

from collections.abc import Sequence
from itertools import count
from uuid import UUID

from tests.integration.machinery.machine import Machine
from tests.integration.machinery.throwaway.events import Counted

from clawdeploy_common.clock import utc_now
from clawdeploy_common.events import SOURCE_PREFIX, Envelope, Event, encode, topic_of
from clawdeploy_common.ids import new_id
from clawdeploy_common.records import Record

_offsets = count()


def record_of(envelope: Envelope, *, without: str = "", headers: Sequence[tuple[str, bytes | None]] = ()) -> Record:
    """The record of an envelope; ``without`` leaves a header out, ``headers`` replace or add some."""
    given = dict(headers)
    kept: list[tuple[str, bytes | None]] = [
        (name, value) for name, value in envelope.headers() if name != without and name not in given
    ]
    return Record(
        topic=topic_of("api"), partition=0, offset=next(_offsets), headers=[*kept, *headers], payload=envelope.data
    )


def envelope(key: UUID, version: int, event: Event | None = None, *, account_id: UUID | None = None) -> Envelope:
    """An envelope as `api` emits it."""
    event = event or Counted(amount=1)
    return Envelope(
        id=new_id(),
        source=SOURCE_PREFIX + "api",
        type=event.event_type,
        key=key,
        version=version,
        time=utc_now(),
        account_id=account_id,
        data=encode(event),
    )


def record(key: UUID, version: int, event: Event | None = None, *, account_id: UUID | None = None) -> Record:
    """A record as `api`'s relay writes it."""
    return record_of(envelope(key, version, event, account_id=account_id))


def stream(key: UUID, versions: int) -> list[Record]:
    """The records of a key's first versions, each counting one."""
    return [record(key, version) for version in range(1, versions + 1)]


async def parked(machine: Machine, kind: str = "reactor") -> list[tuple[int | None, str, str]]:
    """Version, reason and state of what is parked."""
    rows = await machine.rows(
        "SELECT version, reason, state FROM parked_events WHERE kind = :kind ORDER BY version", kind=kind
    )
    return [(row.version, row.reason, row.state) for row in rows]
