"""What the throw-away services do with events, and the switches by which a test makes them fail."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Uuid, bindparam, text
from tests.integration.machinery.throwaway.events import Counted, Echoed
from tests.integration.machinery.throwaway.models import INSERT_REACTION

from clawdeploy_common.errors import PermanentError, TemporaryError
from clawdeploy_common.events import Envelope
from clawdeploy_common.handlers import Projectors, Reactors, Received
from clawdeploy_common.session import Session
from clawdeploy_common.work import Projection, UnitOfWork

_TALLY = text(
    """
    INSERT INTO tallies AS t (key, total, events, last_version)
    SELECT key, amount, 1, version FROM unnest(:keys, :amounts, :versions) AS i(key, amount, version)
    ON CONFLICT (key) DO UPDATE SET total = t.total + excluded.total, events = t.events + 1, last_version = excluded.last_version
    """
).bindparams(
    bindparam("keys", type_=ARRAY(Uuid)),
    bindparam("amounts", type_=ARRAY(BigInteger)),
    bindparam("versions", type_=ARRAY(BigInteger)),
)
ERRORS: dict[str, Exception] = {
    "value": ValueError("poisoned\x00"),
    "temporary": TemporaryError("not yet", retry_after=0.1),
    "permanent": PermanentError("never"),
    "timeout": TimeoutError("a handler's own"),
}


@dataclass
class Handlers:
    """One service's handlers. ``cured`` lets poison pass; ``echoes`` makes the reactor emit an event."""

    echoes: bool = False
    feeds: bool = False
    cured: bool = False
    reactor_calls: int = 0
    current: UUID | None = None
    session: Session | None = None
    before_reaction: Callable[[], Awaitable[None]] | None = None
    projectors: Projectors = field(default_factory=Projectors)
    reactors: Reactors = field(default_factory=Reactors)

    def __post_init__(self) -> None:
        self.projectors.on(Counted)(self._count)
        self.reactors.on(Counted)(self._react)
        self.reactors.on_every(self._feed)

    def swallow(self, event: Counted, *, kind: str) -> None:
        """Fail when the event is poison for this kind: ``<kind>:<error>``, ``any:<error>``."""
        kinds, _, error = event.poison.partition(":")
        if error and kinds in (kind, "any") and not self.cured:
            raise ERRORS[error]

    async def _count(self, events: Sequence[Received[Counted]], projection: Projection) -> None:
        for received in events:
            self.swallow(received.event, kind="projector")
        values = {
            "keys": [e.envelope.key for e in events],
            "amounts": [e.event.amount for e in events],
            "versions": [e.envelope.version for e in events],
        }
        await projection.session.execute(_TALLY, values)

    async def _react(self, event: Counted, uow: UnitOfWork) -> None:
        self.reactor_calls += 1
        self.current, self.session = uow.cause.key, uow.session
        if self.before_reaction:
            await self.before_reaction()
        cause = uow.cause
        await uow.session.execute(INSERT_REACTION, {"key": cause.key, "version": cause.version, "note": "counted"})
        self.swallow(event, kind="reactor")
        if self.echoes:
            uow.outbox.add(Echoed(amount=event.amount), key=cause.key)

    async def _feed(self, envelope: Envelope, uow: UnitOfWork) -> None:
        if self.feeds and envelope.account_id is not None:
            uow.feed.add(envelope, account_id=envelope.account_id, internal=False)
