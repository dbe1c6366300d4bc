"""Events in: projectors rebuild read models, reactors decide. Each service has one registry of either kind."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from clawdeploy_common.events import Envelope, Event
from clawdeploy_common.work import Projection, UnitOfWork

E = TypeVar("E", bound=Event)
Kind = Literal["projector", "reactor"]

PROJECTOR: Kind = "projector"
REACTOR: Kind = "reactor"


@dataclass(frozen=True, slots=True)
class Received(Generic[E]):
    """An event with its envelope: key, version, time, account."""

    event: E
    envelope: Envelope


Projector = Callable[[Sequence[Received[E]], Projection], Awaitable[None]]
Reactor = Callable[[E, UnitOfWork], Awaitable[None]]
AnyReactor = Callable[[Envelope, UnitOfWork], Awaitable[None]]
Preparation = Callable[[Sequence[Envelope], UnitOfWork], Awaitable[None]]


class Projectors:
    """Handlers that write projection tables, several events of one type at a time, each of another key."""

    def __init__(self) -> None:
        self.handlers: dict[str, tuple[type[Event], Projector[Any]]] = {}

    def on(self, event_class: type[E]) -> Callable[[Projector[E]], Projector[E]]:
        """Register the handler of an event class; a class has one projector per service."""

        def register(handler: Projector[E]) -> Projector[E]:
            if event_class.event_type in self.handlers:
                raise ValueError(f"{event_class.event_type} has a projector already")
            self.handlers[event_class.event_type] = (event_class, handler)
            return handler

        return register


class Reactors:
    """Handlers that write owned tables, add events and jobs; one event at a time, in order per key."""

    def __init__(self) -> None:
        self.handlers: dict[str, tuple[type[Event], Reactor[Any]]] = {}
        self.every: AnyReactor | None = None
        self.preparation: Preparation | None = None

    def on(self, event_class: type[E]) -> Callable[[Reactor[E]], Reactor[E]]:
        """Register the handler of an event class; a class has one reactor per service."""

        def register(handler: Reactor[E]) -> Reactor[E]:
            if event_class.event_type in self.handlers:
                raise ValueError(f"{event_class.event_type} has a reactor already")
            self.handlers[event_class.event_type] = (event_class, handler)
            return handler

        return register

    def on_every(self, handler: AnyReactor) -> AnyReactor:
        """Register a handler that sees every event of every type, known or not, before its own reactor."""
        self.every = handler
        return handler

    def before_batch(self, handler: Preparation) -> Preparation:
        """Register what is done once for a batch, before its events are handled one by one.

        Its use is to lock, in order, the rows that handlers of different topics share: taken one by one as events come, two
        subscriptions that catch up deadlock.
        """
        self.preparation = handler
        return handler
