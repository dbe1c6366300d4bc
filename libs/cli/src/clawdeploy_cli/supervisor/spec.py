"""What the supervisor must know about one process."""

import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Check = Callable[[], Awaitable[bool]]
Hook = Callable[[], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """One process: how it starts, when it is ready, how it stops.

    An empty `argv` means that somebody else runs it (an engine given by its address): it is watched, not started.
    `needs` are names of processes that must have been ready once before it starts for the first time. `prepare` runs before
    every start, `on_ready` whenever `is_ready` first says yes after a start; both must be safe to repeat, and while they
    raise the process is not ready. `stop_stage` orders the shutdown: lower stages are gone before higher ones are asked.
    With the socket of a warm parent, the process is forked there; its `argv` is then an interpreter, `-m` and a module.
    """

    name: str
    log: Path
    is_ready: Check
    argv: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    address: str | None = None
    needs: tuple[str, ...] = ()
    prepare: Hook | None = None
    on_ready: Hook | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 10
    stop_stage: int = 0
    warm_parent: Path | None = None
