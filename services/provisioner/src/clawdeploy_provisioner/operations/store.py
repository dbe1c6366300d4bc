"""The engine's SQL. Every write of a runner carries its lease token: a runner that lost its lease changes nothing."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Boolean, Integer, Text, Uuid, bindparam, text

from clawdeploy_common.clock import utc_now
from clawdeploy_common.ids import new_id
from clawdeploy_common.session import Session
from clawdeploy_events.lifecycle import OperationStepChanged, StepState
from clawdeploy_provisioner.operations.facts import OperationFacts

CALL_MARGIN_S = 5.0
_CLAIM_LOCK = 0x636C6D  # "clm": claims are short and taken one after another, so that limits hold exactly

_TAKE_CLAIM_LOCK = text("SELECT pg_advisory_xact_lock(:lock)")
_CLAIM = text(  # the turns are those that one claim after another would give
    """
    WITH active AS MATERIALIZED (
        SELECT id, account_id, provider, run_at, lease_until >= clock_timestamp() IS TRUE AS leased FROM operations
        WHERE state IN ('running', 'compensating')
    ), turns AS (
        SELECT *, count(*) FILTER (WHERE leased) OVER (PARTITION BY account_id)
                  + row_number() OVER (PARTITION BY account_id, leased ORDER BY run_at, id) AS turn FROM active
        WHERE leased OR run_at <= clock_timestamp()
    ), places AS (
        SELECT *, count(*) FILTER (WHERE leased) OVER (PARTITION BY provider)
                  + row_number() OVER (PARTITION BY provider, leased ORDER BY turn, run_at, id) AS place FROM turns
    ), taken AS (
        SELECT o.id FROM operations o JOIN places p ON p.id = o.id
        WHERE NOT p.leased AND p.place <= :per_provider AND o.state IN ('running', 'compensating')
          AND (o.lease_until IS NULL OR o.lease_until < clock_timestamp())
        ORDER BY p.turn, p.run_at, p.id LIMIT :most FOR UPDATE OF o SKIP LOCKED
    )
    UPDATE operations o SET lease_token = o.lease_token + 1, lease_until = clock_timestamp() + make_interval(secs => :lease)
    FROM taken t, instances i WHERE o.id = t.id AND i.id = o.instance_id RETURNING o.*, i.deployment
    """
)
_RENEW = text(  # a row that a step's own transaction holds is left for the next time: one step must not keep the others waiting
    """
    WITH given AS (
        SELECT * FROM unnest(:ids, :tokens, :elapsed) WITH ORDINALITY AS g(id, token, elapsed, number)
    ), free AS (
        SELECT o.id FROM operations o JOIN given g ON o.id = g.id AND o.lease_token = g.token
        WHERE o.lease_until IS NOT NULL ORDER BY o.id FOR UPDATE OF o SKIP LOCKED
    ), renewed AS (
        UPDATE operations o SET lease_until = greatest(o.lease_until, clock_timestamp() + make_interval(secs => :lease)),
               stalled_seconds = o.stalled_seconds + g.elapsed
        FROM given g, free f WHERE o.id = g.id AND o.lease_token = g.token AND f.id = o.id
        RETURNING g.number, o.state, o.cancel_requested_at, o.stalled_seconds
    )
    SELECT g.number, o.lease_token = g.token AS held, r.state, r.cancel_requested_at, r.stalled_seconds
    FROM given g JOIN operations o ON o.id = g.id LEFT JOIN renewed r ON r.number = g.number
    """
).bindparams(
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("tokens", type_=ARRAY(BigInteger)),
    bindparam("elapsed", type_=ARRAY(Integer)),
)
_HOLD = text(  # the instance's row first, as requests do: locks are taken in this order everywhere
    """
    SELECT 1 FROM instances i JOIN operations o ON o.instance_id = i.id
    WHERE o.id = :id AND o.lease_token = :token AND o.lease_until > clock_timestamp() FOR UPDATE OF i, o
    """
)
_RELEASE = text(
    """
    WITH released AS (
        UPDATE operations SET lease_until = NULL, run_at = clock_timestamp() + make_interval(secs => :delay)
        WHERE id = :id AND lease_token = :token RETURNING id)
    UPDATE operation_steps s SET call_deadline = least(s.call_deadline, clock_timestamp())
    FROM released WHERE s.operation_id = released.id AND s.call_deadline IS NOT NULL
    """
)
_CALL = text(
    """
    WITH step AS (
        UPDATE operation_steps SET call_id = :call, call_deadline = clock_timestamp() + make_interval(secs => :seconds)
        WHERE operation_id = :id AND position = :position)
    UPDATE operations SET lease_until = greatest(lease_until, clock_timestamp() + make_interval(secs => :seconds + :margin))
    WHERE id = :id
    """
).bindparams(bindparam("call", type_=Uuid))
_CUT_OFF = text(
    """
    UPDATE operation_steps SET call_deadline = CASE WHEN NOT :refused THEN least(call_deadline, clock_timestamp()) END
    WHERE operation_id = :id AND position = :position
    """
).bindparams(bindparam("refused", type_=Boolean))
_UNSETTLED = text(
    """
    SELECT extract(epoch FROM max(s.call_deadline) - clock_timestamp())
    FROM operation_steps s JOIN operations o ON o.id = s.operation_id WHERE o.instance_id = :instance
    """
)
_STEPS = text("SELECT position, name, state, attempts FROM operation_steps WHERE operation_id = :id ORDER BY position")
_BEGIN = text(
    """
    UPDATE operation_steps SET state = 'running', attempts = attempts + 1, started_at = coalesce(started_at, clock_timestamp())
    WHERE operation_id = :id AND position = :position
      AND EXISTS (SELECT 1 FROM operations WHERE id = :id AND cancel_requested_at IS NULL)
    RETURNING attempts
    """
)
_END = text(  # and patience starts anew
    """
    WITH patient AS (UPDATE operations SET stalled_seconds = 0 WHERE id = :id)
    UPDATE operation_steps SET state = :state, message = :message, finished_at = clock_timestamp(),
           call_deadline = CASE WHEN :state IN ('failed', 'skipped') THEN call_deadline END
    WHERE operation_id = :id AND position = :position
    """
).bindparams(bindparam("message", type_=Text))
_PATIENCE = text("UPDATE operations SET stalled_seconds = 0 WHERE id = :id")
_COMPENSATE = text(
    """
    UPDATE operations SET state = 'compensating', error = :error, stalled_seconds = 0,
           error_step = coalesce(:step, (SELECT name FROM operation_steps
                                         WHERE operation_id = :id AND state = 'running' AND CAST(:error AS text) IS NOT NULL
                                         ORDER BY position DESC LIMIT 1))
    WHERE id = :id AND state = 'running'
    """
).bindparams(bindparam("error", type_=Text), bindparam("step", type_=Text))
_FINISH = text(  # a deployment that succeeded has what was kept of its state, or was not asked to
    """
    WITH finished AS (
        UPDATE operations SET state = :state, finished_at = clock_timestamp(), lease_until = NULL
        WHERE id = :id AND (:state <> 'succeeded' OR cancel_requested_at IS NULL) RETURNING id, instance_id, kind, state),
    forgotten AS (
        DELETE FROM kept_states k USING finished f
        WHERE k.instance_id = f.instance_id AND f.state = 'succeeded' AND f.kind IN ('deploy', 'redeploy'))
    SELECT id FROM finished
    """
)
_OUTPUT = text(
    "INSERT INTO operation_outputs (operation_id, account_id, step, line) VALUES (:id, :account, :step, :line)"
)


async def claim(session: Session, *, lease_s: float, per_provider: int, most: int) -> Sequence[Any]:
    """Take the next due operations, at most so many; accounts with fewer running ones come first."""
    await session.execute(_TAKE_CLAIM_LOCK, {"lock": _CLAIM_LOCK})
    values = {"lease": lease_s, "per_provider": per_provider, "most": most}
    return (await session.execute(_CLAIM, values)).all()


async def renew(
    session: Session, ids: Sequence[UUID], tokens: Sequence[int], elapsed: Sequence[int], *, lease_s: float
) -> Sequence[Any]:
    """Extend leases and charge each operation's patience with its seconds: by number from 1 whether each is still held, and its
    operation's new state unless that is worked on just now.
    """
    values = {"ids": ids, "tokens": tokens, "elapsed": elapsed, "lease": lease_s}
    return (await session.execute(_RENEW, values)).all()


async def hold(session: Session, operation_id: UUID, token: int) -> bool:
    """Whether this lease is the current one; the rows stay locked, so it remains so until the transaction ends."""
    return await session.scalar(_HOLD, {"id": operation_id, "token": token}) is not None


async def release(session: Session, operation_id: UUID, token: int, *, delay_s: float) -> None:
    """Give the operation back, to be claimed again after a delay; its runner has ended all its calls."""
    await session.execute(_RELEASE, {"id": operation_id, "token": token, "delay": delay_s})


async def announce_call(session: Session, operation_id: UUID, position: int, *, seconds: float) -> None:
    """Note that an outside call may take effect until its deadline, and extend the lease beyond it."""
    values = {"id": operation_id, "position": position, "call": new_id(), "seconds": seconds, "margin": CALL_MARGIN_S}
    await session.execute(_CALL, values)


async def cut_off(session: Session, operation_id: UUID, position: int, *, refused: bool) -> None:
    """Note that an announced call is over; when it was ``refused``, for certain without an effect."""
    await session.execute(_CUT_OFF, {"id": operation_id, "position": position, "refused": refused})


async def unsettled(session: Session, instance_id: UUID) -> float | None:
    """Seconds until the last call about the instance whose effect is unknown is cut off (negative: since); None without one."""
    seconds = await session.scalar(_UNSETTLED, {"instance": instance_id})
    return None if seconds is None else float(seconds)


async def steps(session: Session, operation_id: UUID) -> Sequence[Any]:
    """All steps in order: (position, name, state, attempts)."""
    return (await session.execute(_STEPS, {"id": operation_id})).all()


async def begin_step(session: Session, operation_id: UUID, position: int) -> int | None:
    """Mark a step as running; returns which attempt this is, None when the operation is to end instead."""
    return await session.scalar(_BEGIN, {"id": operation_id, "position": position})


async def end_step(
    session: Session, operation_id: UUID, position: int, *, state: str, message: str | None = None
) -> None:
    """Mark a step's outcome; patience starts anew."""
    await session.execute(_END, {"id": operation_id, "position": position, "state": state, "message": message})


async def reset_patience(session: Session, operation_id: UUID) -> None:
    """Forget the time spent without progress."""
    await session.execute(_PATIENCE, {"id": operation_id})


async def compensate(session: Session, operation_id: UUID, *, error: str | None, step: str | None) -> None:
    """Turn an operation round; without a step, the one that runs is named."""
    await session.execute(_COMPENSATE, {"id": operation_id, "error": error, "step": step})


async def finish(session: Session, operation_id: UUID, *, state: str) -> bool:
    """End an operation; success is refused (False) once its cancellation was asked for."""
    return await session.scalar(_FINISH, {"id": operation_id, "state": state}) is not None


async def write_output(session: Session, operation: OperationFacts, *, step: str, lines: Sequence[str]) -> None:
    """Keep lines people may read."""
    if lines:
        values = [{"id": operation.id, "account": operation.account_id, "step": step, "line": line} for line in lines]
        await session.execute(_OUTPUT, values)


def step_changed(
    operation: OperationFacts, step: str, state: str, *, attempt: int = 1, message: str | None = None
) -> OperationStepChanged:
    """The event of a step's new state."""
    return OperationStepChanged(
        operation_id=operation.id,
        kind=operation.kind,
        step=step,
        state=StepState(state),
        attempt=attempt,
        message=message,
        changed_at=utc_now(),
    )
