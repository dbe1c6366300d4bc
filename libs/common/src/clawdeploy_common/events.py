"""CloudEvents 1.0: event classes, their registry, and the envelope that travels over Kafka in binary mode.

Source of the attribute names: CloudEvents specification 1.0.2 and its Kafka protocol binding (headers ``ce_*``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, ClassVar, Self, TypeVar
from uuid import UUID

from asyncpg.pgproto import pgproto
from pydantic import BaseModel, ConfigDict
from pydantic_core import to_json

SOURCE_PREFIX = "/clawdeploy/"
TICK_TYPE = "clawdeploy.tick.v1"
MAX_EVENT_BYTES = 256 * 1024

Headers = Mapping[str, bytes | None]
Position = tuple[str, UUID]
"""A stream: its source, and the id of the aggregate it is about."""
_MAX_VERSION = 2**63 - 1
E = TypeVar("E", bound="Event")
EventClass = type[E]


class TolerantEnum(StrEnum):
    """An enumeration of a published event: a value from a newer producer reads as UNKNOWN."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:  # noqa: ARG003 - the enum protocol's signature
        return cls.__members__.get("UNKNOWN")


class Event(BaseModel):
    """A fact, named in the past tense. Subclasses give their type and producing service::

    class ServerCreated(Event, type="server.created.v1", producer="provisioner"): ...
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    event_type: ClassVar[str] = ""
    producer: ClassVar[str] = ""
    internal: ClassVar[bool] = False

    def __init_subclass__(cls, **_: Any) -> None:
        super().__init_subclass__()

    @classmethod
    def __pydantic_init_subclass__(cls, *, type: str, producer: str, internal: bool = False, **_: Any) -> None:  # noqa: A002 - CloudEvents' own word
        cls.event_type, cls.producer, cls.internal = type, producer, internal
        registry.register(cls)


class EventRegistry:
    """Every event class by its type."""

    def __init__(self) -> None:
        self._classes: dict[str, type[Event]] = {}

    def register(self, event_class: type[Event]) -> None:
        """Add a class; raises ValueError when the type is taken."""
        if self._classes.setdefault(event_class.event_type, event_class) is not event_class:
            raise ValueError(f"event type {event_class.event_type} is declared twice")

    def find(self, event_type: str) -> type[Event] | None:
        """The class of a type, or None when this code does not know it."""
        return self._classes.get(event_type)

    def all(self) -> Iterable[type[Event]]:
        """All classes, by type."""
        return [self._classes[name] for name in sorted(self._classes)]


registry = EventRegistry()


def topic_of(producer: str) -> str:
    """The topic a service publishes to; one per service (architecture §2)."""
    return f"clawdeploy.{TOPICS[producer]}"


TOPICS = {"api": "deployments", "provisioner": "lifecycle", "monitor": "health", "billing": "billing"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One event as it travels: CloudEvents attributes and the raw JSON payload."""

    id: UUID
    source: str
    type: str
    key: UUID
    version: int
    time: datetime
    account_id: UUID | None = None
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    log_epoch: int = 0
    traceparent: str | None = None
    data: bytes = b"{}"

    def headers(self) -> list[tuple[str, bytes]]:
        """Kafka headers of the binary content mode."""
        made = [
            ("ce_specversion", b"1.0"),
            ("ce_id", str(self.id).encode()),
            ("ce_source", self.source.encode()),
            ("ce_type", self.type.encode()),
            ("ce_subject", str(self.key).encode()),
            ("ce_sequence", b"%d" % self.version),
            ("ce_time", self.time.isoformat().encode()),
            ("ce_logepoch", b"%d" % self.log_epoch),
            ("content-type", b"application/json"),
        ]
        if self.account_id is not None:
            made.append(("ce_accountid", str(self.account_id).encode()))
        if self.correlation_id is not None:
            made.append(("ce_correlationid", str(self.correlation_id).encode()))
        if self.causation_id is not None:
            made.append(("ce_causationid", str(self.causation_id).encode()))
        if self.traceparent is not None:
            made.append(("traceparent", self.traceparent.encode()))
        return made

    @classmethod
    def from_headers(cls, headers: Headers, data: bytes) -> Self:
        """Read an envelope; raises ValueError when a required attribute is missing or malformed."""
        (source, key), version = place_in(headers)
        traceparent = headers.get("traceparent")
        return cls(
            id=pgproto.UUID(_required(headers, "ce_id").decode()),
            source=source,
            type=_text(_required(headers, "ce_type")),
            key=key,
            version=version,
            time=_aware(_required(headers, "ce_time").decode()),
            account_id=_optional_id(headers.get("ce_accountid")),
            correlation_id=_optional_id(headers.get("ce_correlationid")),
            causation_id=_optional_id(headers.get("ce_causationid")),
            log_epoch=int(headers.get("ce_logepoch") or b"0"),
            traceparent=None if traceparent is None else _text(traceparent),
            data=data,
        )

    @classmethod
    def of_damaged(cls, position: Position, version: int, data: bytes) -> Self:
        """The place of an unreadable record in its stream, its other attributes blank."""
        source, key = position
        blank = datetime.fromtimestamp(0, UTC)
        return cls(id=UUID(int=0), source=source, type="", key=key, version=version, time=blank, data=data)

    def read(self, event_class: EventClass[E]) -> E:
        """The payload as an event class; raises pydantic.ValidationError when it does not fit."""
        return event_class.model_validate_json(self.data)


def encode(event: Event) -> bytes:
    """An event's payload as JSON."""
    return to_json(event)


def place_in(headers: Headers) -> tuple[Position, int]:
    """The stream and the version that headers name; raises ValueError when one is missing or malformed."""
    position = _position(_required(headers, "ce_source"), _required(headers, "ce_subject"))
    return position, _version(_required(headers, "ce_sequence"))


def _required(headers: Headers, name: str) -> bytes:
    value = headers.get(name)
    if not value:
        raise ValueError(f"header {name} is missing or empty")
    return value


@lru_cache(maxsize=16_384)
def _position(source: bytes, subject: bytes) -> Position:
    return _text(source), _repeated_id(subject)


@lru_cache(maxsize=16_384)
def _repeated_id(value: bytes) -> UUID:
    """The id of an aggregate, an account or an operation, which a log names again and again.

    The driver's class equals the standard library's, and is made and hashed several times faster.
    """
    return pgproto.UUID(value.decode())


def _optional_id(value: bytes | None) -> UUID | None:
    return _repeated_id(value) if value else None


@lru_cache(maxsize=1_024)
def _text(value: bytes) -> str:
    text = value.decode()
    if "\x00" in text:
        raise ValueError("a header holds a NUL character")
    return text


def _version(value: bytes) -> int:
    number = int(value)
    if not 1 <= number <= _MAX_VERSION:
        raise ValueError(f"ce_sequence {number} is not a version")
    return number


def _aware(value: str) -> datetime:
    time = datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError(f"ce_time {value} has no time zone")
    return time
