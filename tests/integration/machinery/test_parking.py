"""Law 3: a bad event stops its own key, nothing else."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from tests.integration.machinery.machine import Machine, eventually
from tests.integration.machinery.records import envelope, parked, record, record_of, stream
from tests.integration.machinery.throwaway.events import Counted

from clawdeploy_common import parking
from clawdeploy_common.dead_letters import DeadLetterNotFound
from clawdeploy_common.events import Envelope
from clawdeploy_common.records import Record

Damage = Sequence[tuple[str, bytes | None]]


def poison(key: UUID, version: int, kind: str) -> Record:
    return record(key, version, Counted(amount=1, poison=kind))


async def applied_up_to(machine: Machine, key: UUID, version: int) -> bool:
    reacted, tallied = await machine.reacted(), await machine.tallied()
    return reacted.get(key) == list(range(1, version + 1)) and tallied.get(key) == (version, version, version)


@pytest.mark.parametrize("kind", ["reactor", "projector", "any"])
@pytest.mark.parametrize("error", ["value", "temporary", "timeout"])
async def test_a_poison_event_stops_its_own_key_only(consumer: Machine, kind: str, error: str) -> None:
    """INVARIANT: in the same batch, other keys go on; later events of the key wait; all apply in order once it is cured."""
    bad, good = uuid4(), uuid4()
    poisoned = poison(bad, 2, f"{kind}:{error}")
    await consumer.inbox.receive([record(bad, 1), *stream(good, 3), poisoned, record(bad, 3)])
    await consumer.inbox.receive([record(bad, 4), record(good, 4), poisoned])
    assert await applied_up_to(consumer, good, 4)
    for each in ("reactor", "projector"):
        states = [(2, "failed", "parked"), (3, "behind", "parked"), (4, "behind", "parked")]
        assert await parked(consumer, each) == (states if kind in (each, "any") else [])
    consumer.handlers.cured = True

    async def healed() -> bool:
        return await applied_up_to(consumer, bad, 4)

    async with consumer.running(consumer.drainer.run):
        await eventually(healed)
    assert await parked(consumer) == []


async def test_a_value_that_no_column_holds_is_its_events_fault_not_the_databases(consumer: Machine) -> None:
    """INVARIANT: what the driver refuses to send is no outage: the event is parked, and the others go on."""
    bad, good = uuid4(), uuid4()
    await consumer.inbox.receive([record(bad, 1, Counted(amount=2**63)), *stream(good, 2)])
    assert await applied_up_to(consumer, good, 2)
    assert await parked(consumer, "projector") == [(1, "failed", "parked")]


DAMAGES: dict[str, Damage] = {
    "type is empty": [("ce_type", None)],
    "type is not UTF-8": [("ce_type", b"\xff\xfe")],
    "time is no time": [("ce_time", b"yesterday")],
    "time has no zone": [("ce_time", b"2026-01-01T00:00:00")],
    "id is no id": [("ce_id", b"\x00")],
    "type holds NUL": [("ce_type", b"a\x00b")],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_an_unreadable_record_stops_its_own_key_until_it_is_dropped(consumer: Machine, damage: Damage) -> None:
    """INVARIANT: a record that cannot be read is a dead letter at its place; dropped, its key goes on."""
    bad, good = uuid4(), uuid4()
    broken = record_of(envelope(bad, 2), headers=damage)
    batch = [record(bad, 1), broken, record(bad, 3), *stream(good, 2)]
    await consumer.inbox.receive(batch)
    await consumer.inbox.receive(batch)
    assert await applied_up_to(consumer, good, 2)
    states = [(2, "unreadable", "dead"), (3, "behind", "parked")]
    assert (await parked(consumer), await parked(consumer, "projector")) == (states, states)
    for letter in (await consumer.dead_letters.list(cursor=None, limit=50)).items:
        if letter.state == "dead":
            await consumer.dead_letters.drop(letter.id)
    await consumer.drainer.drain()
    assert await consumer.reacted() == {bad: [1, 3], good: [1, 2]}
    assert (await consumer.tallied())[bad] == (2, 2, 3)


PLACELESS: dict[str, Damage] = {
    "no key": [("ce_subject", None)],
    "a key that is not UTF-8": [("ce_subject", b"\xff")],
    "a version of nothing": [("ce_sequence", b"zero")],
    "a version beyond any column": [("ce_sequence", b"9" * 30)],
    "a source with NUL": [("ce_source", b"\x00")],
}


@pytest.mark.parametrize("damage", PLACELESS.values(), ids=PLACELESS)
async def test_a_record_without_a_place_is_one_dead_letter(consumer: Machine, damage: Damage) -> None:
    """INVARIANT: a record of which nobody can say whose it is stops nothing, and is one dead letter however often it comes."""
    good = uuid4()
    batch = [record_of(envelope(uuid4(), 1), headers=damage), *stream(good, 2)]
    await consumer.inbox.receive(batch)
    await consumer.inbox.receive(batch)
    assert await applied_up_to(consumer, good, 2)
    assert await parked(consumer) == [(None, "unreadable", "dead")]
    [letter] = (await consumer.dead_letters.list(cursor=None, limit=50)).items
    with pytest.raises(DeadLetterNotFound):
        await consumer.dead_letters.retry(letter.id)
    await consumer.dead_letters.drop(letter.id)
    await consumer.inbox.receive(batch)
    assert (await consumer.dead_letters.list(cursor=None, limit=50)).items == []


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"\xff\xfe", b"[]", b'{"amount": "\\u0000"}', b'{"amount": 99999999999999999999}']
)
async def test_an_undecodable_payload_stops_its_own_key_only(consumer: Machine, payload: bytes) -> None:
    """INVARIANT: a payload that its class refuses, or that no column takes, parks; its neighbours apply."""
    bad, good = uuid4(), uuid4()
    fine = envelope(bad, 1)
    damaged = Envelope(id=fine.id, source=fine.source, type=fine.type, key=bad, version=1, time=fine.time, data=payload)
    await consumer.inbox.receive([record_of(damaged), *stream(good, 2)])
    assert await applied_up_to(consumer, good, 2)
    assert await parked(consumer, "projector") == [(1, "failed", "parked")]


@pytest.mark.parametrize("header", ["ce_id", "ce_type", "ce_time"])
async def test_a_missing_header_stops_its_own_key_only(consumer: Machine, header: str) -> None:
    """INVARIANT: a record without a header we need is a dead letter at its place."""
    bad, good = uuid4(), uuid4()
    await consumer.inbox.receive([record_of(envelope(bad, 1), without=header), *stream(good, 2)])
    assert await applied_up_to(consumer, good, 2)
    assert await parked(consumer) == [(1, "unreadable", "dead")]


async def test_headers_that_are_not_ours_are_ignored(consumer: Machine) -> None:
    """INVARIANT: a stranger's header, whatever its bytes, does not stop an event."""
    key = uuid4()
    await consumer.inbox.receive([record_of(envelope(key, 1), headers=[("x-trace", b"\xff\x00"), ("empty", None)])])
    assert await applied_up_to(consumer, key, 1)


async def test_a_gap_parks_and_heals(consumer: Machine) -> None:
    """INVARIANT: a missing version holds its key up until it arrives, then everything applies in order."""
    key = uuid4()
    one, two, three, four = stream(key, 4)
    await consumer.inbox.receive([one, three, four])
    assert await parked(consumer) == [(3, "gap", "parked"), (4, "behind", "parked")]
    await consumer.drainer.drain()
    assert await consumer.reacted() == {key: [1]}
    await consumer.inbox.receive([two])

    async def healed() -> bool:
        return await applied_up_to(consumer, key, 4)

    async with consumer.running(consumer.drainer.run):
        await eventually(healed)


async def test_what_waits_behind_is_not_forgotten_when_the_drainer_dies(consumer: Machine) -> None:
    """INVARIANT: a drainer that stops after one event of a key leaves the next one due."""
    key = uuid4()
    await consumer.inbox.receive([poison(key, 1, "reactor:value"), *stream(key, 3)[1:]])
    consumer.handlers.cured = True
    await consumer.rows("UPDATE parked_events SET retry_at = now() WHERE version = 1 RETURNING id")
    reactor_only = next(iter({(r.source, r.key) for r in await consumer.rows("SELECT source, key FROM parked_events")}))
    assert await consumer.drainer._apply_head("reactor", reactor_only)  # pyright: ignore[reportPrivateUsage]
    await consumer.drainer.drain()
    assert await consumer.reacted() == {key: [1, 2, 3]}


async def test_attempts_run_out_and_an_operator_retries(consumer: Machine) -> None:
    """INVARIANT: after its attempts an event is dead and waits for a person; a retry applies it and what waited behind."""
    key = uuid4()
    await consumer.inbox.receive([poison(key, 1, "reactor:value"), record(key, 2)])
    for _ in range(parking.MAX_ATTEMPTS + 2):
        await consumer.rows("UPDATE parked_events SET retry_at = now() WHERE state = 'parked' RETURNING id")
        await consumer.drainer.drain()
    assert await parked(consumer) == [(1, "failed", "dead"), (2, "behind", "parked")]
    [row] = await consumer.rows("SELECT id, attempts, error FROM parked_events WHERE version = 1")
    assert (row.attempts, row.error) == (parking.MAX_ATTEMPTS, "ValueError: poisoned")
    consumer.handlers.cured = True
    await consumer.dead_letters.retry(row.id)
    await consumer.drainer.drain()
    assert await consumer.reacted() == {key: [1, 2]}
    assert await parked(consumer) == []


async def test_a_permanent_error_is_dead_at_once(consumer: Machine) -> None:
    """INVARIANT: an error that says trying again is useless is not tried again."""
    key = uuid4()
    await consumer.inbox.receive([poison(key, 1, "reactor:permanent")])
    assert await parked(consumer) == [(1, "permanent", "dead")]


@pytest.mark.parametrize("behind", [0, 2])
async def test_dropping_a_dead_letter_advances_its_key(consumer: Machine, behind: int) -> None:
    """INVARIANT: a dropped event counts as done: at once, for what waits behind it and for what comes later."""
    key = uuid4()
    await consumer.inbox.receive([record(key, 1), poison(key, 2, "reactor:permanent"), *stream(key, 2 + behind)[2:]])
    [letter] = [x for x in (await consumer.dead_letters.list(cursor=None, limit=9)).items if x.state == "dead"]
    await consumer.dead_letters.drop(letter.id)
    assert await consumer.scalar("SELECT version FROM progress WHERE kind = 'reactor'") == 2
    with pytest.raises(DeadLetterNotFound):
        await consumer.dead_letters.drop(letter.id)
    await consumer.drainer.drain()
    await consumer.inbox.receive([record(key, 3 + behind)])
    assert await consumer.reacted() == {key: [1, *range(3, 4 + behind)]}
    assert await parked(consumer) == [(2, "permanent", "dropped")]


async def test_a_thousand_events_behind_a_dead_one_wait_without_being_looked_at(consumer: Machine) -> None:
    """INVARIANT: keys that wait for a person cost the drainer nothing, so they cannot starve the others."""
    dead = [uuid4() for _ in range(120)]
    await consumer.inbox.receive([record for key in dead for record in (record_of(envelope(key, 3)),)])
    await consumer.inbox.receive([poison(key, 1, "reactor:permanent") for key in dead])
    await consumer.rows("UPDATE parked_events SET retry_at = now() WHERE state = 'parked' RETURNING id")
    await consumer.drainer.drain()
    await consumer.drainer.drain()
    query = "SELECT count(*) FROM parked_events WHERE kind = 'reactor' AND state = 'parked' AND retry_at <= now()"
    assert await consumer.scalar(query) == 0


async def test_a_statement_that_runs_into_its_limit_parks(consumer: Machine) -> None:
    """INVARIANT: a handler whose statement is cancelled for its length is the event's fault, not an outage."""
    bad, good = uuid4(), uuid4()

    async def slow() -> None:
        if consumer.handlers.current == bad and consumer.handlers.session is not None:
            await consumer.handlers.session.execute(text("SET LOCAL statement_timeout = '50ms'"))
            await consumer.handlers.session.execute(text("SELECT pg_sleep(5)"))

    consumer.handlers.before_reaction = slow
    await consumer.inbox.receive([record(bad, 1), *stream(good, 2)])
    assert await consumer.reacted() == {good: [1, 2]}
    assert await parked(consumer) == [(1, "failed", "parked")]
