"""A Kafka record as the consumer got it, and what could be read of it."""

import base64
from collections.abc import Sequence
from functools import cached_property
from typing import Any
from uuid import UUID

from clawdeploy_common.events import TICK_TYPE, Envelope, Position, place_in

NOWHERE: Position = ("", UUID(int=0))
_TICK = TICK_TYPE.encode()
_EPOCH_DIGITS = 10


class Record:
    """Raw headers and payload, and what can be read of them; making one never raises.

    ``position`` and ``version`` are its place in its stream, NOWHERE and 0 when that cannot be read. The rest is read when it is
    asked for, since most of a log that is read again is not: ``envelope`` and, when something is unreadable, why (``defect``).
    """

    def __init__(
        self,
        *,
        topic: str,
        partition: int,
        offset: int,
        headers: Sequence[tuple[str, bytes | None]],
        payload: bytes | None,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.headers = headers
        self.payload = payload or b""
        self._values = dict(headers)
        try:
            self.position, self.version = place_in(self._values)
        except ValueError:
            self.position, self.version = NOWHERE, 0

    @property
    def envelope(self) -> Envelope | None:
        """All of it; of a defective record its place and nothing else, None when it has no place."""
        return self._read[0]

    @property
    def defect(self) -> str | None:
        """Why it cannot be read; None when it can."""
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[Envelope | None, str | None]:
        try:
            return Envelope.from_headers(self._values, self.payload), None
        except ValueError as error:
            placed = Envelope.of_damaged(self.position, self.version, self.payload) if self.version else None
            return placed, str(error)

    @property
    def is_tick(self) -> bool:
        """Whether this is the relay's mark of life, which carries no fact."""
        return self._values.get("ce_type") == _TICK

    @property
    def time(self) -> str:
        """When it was told, as it was written; empty when the header is missing."""
        return (self._values.get("ce_time") or b"").decode(errors="replace")

    @property
    def log_epoch(self) -> int:
        """The producer's log epoch, 0 when the header is missing or unreadable."""
        value = self._values.get("ce_logepoch") or b""
        return int(value) if value.isdigit() and len(value) < _EPOCH_DIGITS else 0

    def headers_as_json(self) -> list[list[str]]:
        """Headers for a JSONB column, values in base64 because they may be any bytes."""
        return [[name.replace("\x00", ""), base64.b64encode(value or b"").decode()] for name, value in self.headers]


def headers_from_json(stored: list[list[str]]) -> list[tuple[str, bytes]]:
    """The inverse of :meth:`Record.headers_as_json`."""
    return [(name, base64.b64decode(value)) for name, value in stored]


def record_from_row(row: Any) -> Record:
    """A parked record as it was received."""
    return Record(
        topic=row.topic,
        partition=row.partition,
        offset=row.offset,
        headers=headers_from_json(row.headers),
        payload=row.payload,
    )
