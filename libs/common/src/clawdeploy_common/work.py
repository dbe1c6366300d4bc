"""The unit of work: one transaction's session, events and jobs (law 1)."""

from copy import copy

from clawdeploy_common.events import Envelope
from clawdeploy_common.feed import FeedWriter
from clawdeploy_common.jobs import JobQueue
from clawdeploy_common.outbox import Outbox
from clawdeploy_common.session import Session


class Projection:
    """What a projector may touch: SQL on projection tables, and nothing that leaves the schema."""

    def __init__(self, session: Session) -> None:
        self.session = session


class UnitOfWork:
    """What a reactor, a request or a step may touch: rows, events and jobs that commit together or not at all."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.outbox = Outbox(session)
        self.jobs = JobQueue(session)
        self.feed = FeedWriter(session)
        self._cause: Envelope | None = None

    @property
    def cause(self) -> Envelope:
        """The event being reacted to; raises RuntimeError outside a reactor."""
        if self._cause is None:
            raise RuntimeError("this unit of work was not caused by an event")
        return self._cause

    def caused_by(self, cause: Envelope) -> "UnitOfWork":
        """The same transaction, for what ``cause`` leads to."""
        unit = copy(self)
        unit.outbox = self.outbox.caused_by(cause)
        unit._cause = cause
        return unit

    async def flush(self) -> None:
        """Write buffered events and feed entries; called once, just before commit, so that stream locks are held briefly."""
        await self.outbox.flush()
        await self.feed.flush()

    def discard(self) -> None:
        """Forget buffered events and feed entries, when their savepoint was rolled back."""
        self.outbox.discard()
        self.feed.discard()
