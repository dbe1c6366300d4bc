"""A Kafka record as the consumer got it, and what could be read of it."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clawdeploy_common.events import TICK_TYPE, Envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Raw headers and payload, with the envelope, or the reason why there is none."""

    topic: str
    partition: int
    offset: int
    headers: Sequence[tuple[str, bytes]]
    payload: bytes
    envelope: Envelope | None
    defect: str | None = None

    @classmethod
    def read(
        cls, *, topic: str, partition: int, offset: int, headers: Sequence[tuple[str, bytes]], payload: bytes | None
    ) -> "Record":
        """Read a record; never raises, what cannot be read is told in ``defect``."""
        envelope, defect = None, None
        try:
            envelope = Envelope.from_record(headers, payload or b"")
        except ValueError as error:
            defect = str(error)
        return cls(
            topic=topic,
            partition=partition,
            offset=offset,
            headers=headers,
            payload=payload or b"",
            envelope=envelope,
            defect=defect,
        )

    @property
    def is_tick(self) -> bool:
        """Whether this is the relay's mark of life, which carries no fact."""
        return any(name == "ce_type" and value == TICK_TYPE.encode() for name, value in self.headers)

    @property
    def log_epoch(self) -> int:
        """The producer's log epoch, 0 when the header is missing or unreadable."""
        for name, value in self.headers:
            if name == "ce_logepoch" and value.isdigit():
                return int(value)
        return 0

    def headers_as_json(self) -> list[list[str]]:
        """Headers for a JSONB column, values in base64 because they may be any bytes."""
        return [[name, base64.b64encode(value).decode()] for name, value in self.headers]


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
