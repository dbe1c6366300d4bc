"""Envelopes and records: what is written is read again, and anything else is told, never raised."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawdeploy_common.events import Envelope
from clawdeploy_common.inbox import waves
from clawdeploy_common.parking import backoff, describe, storable
from clawdeploy_common.records import Record, headers_from_json

NAMES = ["ce_id", "ce_source", "ce_type", "ce_subject", "ce_sequence", "ce_time", "ce_logepoch", "traceparent", "x"]


def envelope(version: int = 1, key: UUID | None = None) -> Envelope:
    return Envelope(
        id=uuid4(), source="/clawdeploy/api", type="a.b.v1", key=key or uuid4(), version=version, time=datetime.now(UTC)
    )


def read(headers: list[tuple[str, bytes | None]], payload: bytes | None = b"{}") -> Record:
    return Record(topic="t", partition=0, offset=0, headers=headers, payload=payload)


@given(
    headers=st.lists(st.tuples(st.sampled_from(NAMES), st.none() | st.binary(max_size=40))),
    payload=st.none() | st.binary(max_size=40),
)
def test_reading_a_record_never_raises(headers: list[tuple[str, bytes | None]], payload: bytes | None) -> None:
    """INVARIANT: whatever bytes a record has, it is read, or its defect is told; and it can be stored and read again."""
    record = read(headers, payload)
    assert (record.defect is None) <= (record.envelope is not None)
    assert record.log_epoch >= 0
    again = headers_from_json(record.headers_as_json())
    assert [(name, value or b"") for name, value in headers] == again


@given(
    st.builds(
        Envelope,
        id=st.uuids(),
        source=st.just("/clawdeploy/api"),
        type=st.text(min_size=1, alphabet="abc.é"),
        key=st.uuids(),
        version=st.integers(1, 2**63 - 1),
        time=st.datetimes(timezones=st.just(UTC)),
        account_id=st.none() | st.uuids(),
        correlation_id=st.none() | st.uuids(),
        causation_id=st.none() | st.uuids(),
        log_epoch=st.integers(0, 10**6),
        traceparent=st.none() | st.text(min_size=1, alphabet="0123456789abcdef-"),
        data=st.binary(),
    )
)
def test_an_envelope_survives_the_wire(sent: Envelope) -> None:
    received = read([*sent.headers()], sent.data)
    assert (received.envelope, received.defect) == (sent, None)
    assert received.log_epoch == sent.log_epoch


def test_waves_hold_each_key_once_and_keep_its_order() -> None:
    """INVARIANT: a projector never gets two events of a key at once, and gets them in order."""
    one, two = uuid4(), uuid4()
    records = [read([*e.headers()]) for e in (envelope(1, one), envelope(2, one), envelope(1, two), envelope(3, one))]
    assert [[(e.key, e.version) for e in wave] for wave in waves(records)] == [
        [(one, 1), (two, 1)],
        [(one, 2)],
        [(one, 3)],
    ]


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "line\nline", ""])
def test_any_error_can_be_stored(text: str) -> None:
    described = describe(ValueError(text))
    assert described.startswith("ValueError")
    assert storable(described) == described
    assert "\x00" not in described
    described.encode()


def test_back_off_doubles_and_has_an_end() -> None:
    assert [backoff(n, None).total_seconds() for n in (1, 2, 3, 9, 60)] == [1, 2, 4, 256, 300]
