"""The meters of LLM keys: opened when minted, booked reading by reading under the key's lock, closed after the last reading."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from clawdeploy_billing import ledger, price_books, repository
from clawdeploy_billing.ledger import Entry, Period
from clawdeploy_billing.models import LlmKey
from clawdeploy_billing.openrouter import Reading
from clawdeploy_billing.usage import Judgement, Verdict, is_final, judge
from clawdeploy_common import rows
from clawdeploy_common.clock import utc_now
from clawdeploy_common.ids import named_id
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.billing import UsageAnomalyFound, UsageRecorded
from clawdeploy_events.lifecycle import LlmKeyMinted, LlmKeyRevoked

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    start: datetime
    price_version: int


async def minted(uow: UnitOfWork, event: LlmKeyMinted, *, account_id: UUID) -> None:
    """Open a key's meter. A key is minted once; the first word holds."""
    if await repository.find_key(uow.session, event.key_hash, account_id=account_id) is not None:
        return
    await rows.add(
        uow.session,
        LlmKey(
            key_hash=event.key_hash,
            meter_id=named_id(f"clawdeploy:llm-key-meter:{event.key_hash}"),
            instance_id=uow.cause.key,
            account_id=account_id,
            price_version=event.price_version,
            minted_at=event.minted_at,
            minted_event_id=uow.cause.id,
            highest_micros=0,
            lines=0,
            lease_token=0,
            next_read_at=min(event.minted_at, utc_now()),
        ),
    )


async def revoked(uow: UnitOfWork, event: LlmKeyRevoked, *, account_id: UUID) -> None:
    """Let a key's meter end: it is read now, and once more when late figures have arrived."""
    key = await repository.find_key(uow.session, event.key_hash, account_id=account_id)
    if key is None or key.revoked_at is not None:
        return
    key.revoked_at, key.revoked_event_id = event.revoked_at, uow.cause.id
    key.next_read_at = min(key.next_read_at, event.revoked_at)
    await rows.save(uow.session, key)


async def book_reading(uow: UnitOfWork, key: LlmKey, reading: Reading, *, grace: timedelta) -> Judgement:
    """Book what a reading adds; the key's row must be locked, and saved by the caller. Closes the meter when this was its last reading.

    A window is priced as agreed when it began. A lower figure books nothing and closes nothing.
    """
    book = await price_books.load(uow.session)
    window_start = min(key.last_read_at or key.minted_at, reading.read_at)
    price = book.in_force(key.price_version, since=key.minted_at, at=window_start)
    found = judge(reading.cumulative_micros, highest_micros=key.highest_micros, charge_percent=price.llm_charge_percent)
    match found.verdict:
        case Verdict.USAGE:
            await _book(uow, key, reading, found, _Window(start=window_start, price_version=price.version))
        case Verdict.ANOMALY:
            _report(uow, key, reading)
        case Verdict.NOTHING_NEW:
            pass
    key.last_read_at = reading.read_at
    if found.verdict is Verdict.ANOMALY:
        return found
    key.anomaly_micros = None
    if is_final(reading.read_at, revoked_at=key.revoked_at, grace=grace):
        close(key, reason="read", reading=reading)
    return found


def close(key: LlmKey, *, reason: str, reading: Reading | None = None) -> None:
    """End a key's meter: its figure cannot grow any more."""
    key.closed_at = reading.read_at if reading else key.next_read_at
    key.closed_reason = reason
    log.info("llm_key.closed", key_hash=key.key_hash, reason=reason, usage_micros=key.highest_micros)


async def _book(uow: UnitOfWork, key: LlmKey, reading: Reading, found: Judgement, window: _Window) -> None:
    event = UsageRecorded(
        meter_id=key.meter_id,
        key_hash=key.key_hash,
        window_start=window.start,
        window_end=reading.read_at,
        cumulative_micros=reading.cumulative_micros,
        cost_micros=found.cost_micros,
        charge_micros=found.charge_micros,
        price_version=window.price_version,
    )
    event_id = uow.outbox.add(event, key=key.instance_id, account_id=key.account_id)
    period = Period(
        start=window.start,
        end=reading.read_at,
        price_version=window.price_version,
        event_ids=[key.minted_event_id, event_id],
    )
    cost = Entry(book="cost", quantity=found.cost_micros, micros=found.cost_micros)
    charge = Entry(book="charge", quantity=found.cost_micros, micros=found.charge_micros)
    await ledger.book(uow.session, key, [cost, charge], period)
    key.highest_micros = reading.cumulative_micros
    key.last_usage_at = reading.read_at


def _report(uow: UnitOfWork, key: LlmKey, reading: Reading) -> None:
    """Say once that a figure fell; the same lower figure read again is no news."""
    if key.anomaly_micros == reading.cumulative_micros:
        return
    key.anomaly_micros = reading.cumulative_micros
    log.warning(
        "usage.fell", key_hash=key.key_hash, read_micros=reading.cumulative_micros, highest_micros=key.highest_micros
    )
    event = UsageAnomalyFound(
        meter_id=key.meter_id,
        key_hash=key.key_hash,
        cumulative_micros=reading.cumulative_micros,
        highest_micros=key.highest_micros,
        read_at=reading.read_at,
    )
    uow.outbox.add(event, key=key.instance_id, account_id=key.account_id)
