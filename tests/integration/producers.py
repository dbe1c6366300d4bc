"""Records as a producing service's relay would have put them on its topic, without a broker."""

from collections import Counter
from datetime import datetime
from uuid import UUID

from clawdeploy_common.clock import utc_now
from clawdeploy_common.events import SOURCE_PREFIX, Envelope, Event, encode, topic_of
from clawdeploy_common.ids import new_id
from clawdeploy_common.records import Record


class Producer:
    """One producing service: numbers the events of each key, as its outbox does."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._versions: Counter[UUID] = Counter()

    def record(
        self,
        event: Event,
        *,
        key: UUID,
        account_id: UUID | None,
        operation_id: UUID | None = None,
        time: datetime | None = None,
    ) -> Record:
        """The key's next event, as a record."""
        self._versions[key] += 1
        envelope = Envelope(
            id=new_id(),
            source=f"{SOURCE_PREFIX}{self._name}",
            type=event.event_type,
            key=key,
            version=self._versions[key],
            time=time or utc_now(),
            account_id=account_id,
            correlation_id=operation_id,
            data=encode(event),
        )
        return Record(
            topic=topic_of(self._name), partition=0, offset=0, headers=envelope.headers(), payload=envelope.data
        )
