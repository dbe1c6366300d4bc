"""A Kafka record as the consumer got it, and what could be read of it."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clawdeploy_common.events import TICK_TYPE, Envelope

_EPOCH_DIGITS = 10
_EPOCHS = 10 ** (_EPOCH_DIGITS - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Raw headers and payload, with the envelope, or the reason why there is none (``defect``).

    A defective record whose place in its stream is still readable has an envelope with that place and nothing else.
    """

    topic: str
    partition: int
    offset: int
    headers: Sequence[tuple[str, bytes]]
    payload: bytes
    envelope: Envelope | None
    defect: str | None = None

    @classmethod
    def read(
        cls,
        *,
        topic: str,
        partition: int,
        offset: int,
        headers: Sequence[tuple[str, bytes | None]],
        payload: bytes | None,
    ) -> "Record":
        """Read a record; never raises, what cannot be read is told in ``defect``."""
        named = [(name, value or b"") for name, value in headers]
        defect = None
        try:
            envelope = Envelope.from_record(named, payload or b"")
        except ValueError as error:
            envelope, defect = Envelope.of_damaged(named, payload or b""), str(error)
        return cls(
            topic=topic,
            partition=partition,
            offset=offset,
            headers=named,
            payload=payload or b"",
            envelope=envelope,
            defect=defect,
        )

    @property
    def is_tick(self) -> bool:
        """Whether this is the relay's mark of life, which carries no fact."""
        if self.envelope is not None:
            return self.envelope.type == TICK_TYPE
        return any(name == "ce_type" and value == TICK_TYPE.encode() for name, value in self.headers)

    @property
    def log_epoch(self) -> int:
        """The producer's log epoch, 0 when the header is missing or unreadable."""
        if self.envelope is not None and self.defect is None:
            epoch = self.envelope.log_epoch
            return epoch if 0 <= epoch < _EPOCHS else 0
        for name, value in self.headers:
            if name == "ce_logepoch" and value.isdigit() and len(value) < _EPOCH_DIGITS:
                return int(value)
        return 0

    def headers_as_json(self) -> list[list[str]]:
        """Headers for a JSONB column, values in base64 because they may be any bytes."""
        return [[name.replace("\x00", ""), base64.b64encode(value).decode()] for name, value in self.headers]


def headers_from_json(stored: list[list[str]]) -> list[tuple[str, bytes]]:
    """The inverse of :meth:`Record.headers_as_json`."""
    return [(name, base64.b64decode(value)) for name, value in stored]


def record_from_row(row: Any) -> Record:
    """A parked record as it was received."""
    return Record.read(
        topic=row.topic,
        partition=row.partition,
        offset=row.offset,
        headers=headers_from_json(row.headers),
        payload=row.payload,
    )
