"""Figures: a median of rounds with its spread, held against an aim."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

Side = Callable[[], Awaitable[float]]
"""One round of one side; returns what is compared: operations per second, or seconds."""


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What a figure should reach."""

    value: float
    unit: str
    at_least: bool
    meaning: str

    def is_met(self, value: float) -> bool:
        """Whether a value is good enough."""
        return value >= self.value if self.at_least else value <= self.value


AIMS: Mapping[str, Aim] = {
    "accept_ratio": Aim(
        value=0.5, unit="", at_least=True, meaning="POST /v1/instances ÷ a bare FastAPI + asyncpg endpoint"
    ),
    "relay_ratio": Aim(value=0.5, unit="", at_least=True, meaning="outbox relay ÷ a raw aiokafka producer"),
    "projection_ratio": Aim(value=0.7, unit="", at_least=True, meaning="projector ÷ raw consume + JSON + the same SQL"),
    "first_step_p50_ms": Aim(value=20, unit="ms", at_least=False, meaning="accepted request → first step begins"),
    "first_step_p99_ms": Aim(value=100, unit="ms", at_least=False, meaning="the same, 99th percentile"),
    "redrop_s": Aim(value=10, unit="s", at_least=False, meaning="100,000 retained events read again and dropped"),
    "deploy_ratio": Aim(
        value=1.10, unit="", at_least=False, meaning="click → /startupz ÷ the same OpenClaw started by hand"
    ),
    "instance_rss_ratio": Aim(
        value=0.70, unit="", at_least=False, meaning="a deployed OpenClaw's memory ÷ one by hand with defaults"
    ),
    "idle_pss_mb": Aim(value=450, unit="MB", at_least=False, meaning="all services and embedded engines, idle"),
    "probes_per_s": Aim(value=350, unit="/s", at_least=True, meaning="the monitor's probes on one core"),
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of one setting (``where``), each round's value in ``rounds``; ``facts`` is what it was made of."""

    name: str
    rounds: Sequence[float]
    where: str = ""
    facts: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def value(self) -> float:
        """The median."""
        return median(self.rounds)

    @property
    def is_met(self) -> bool:
        """Whether the aim is reached."""
        return AIMS[self.name].is_met(self.value)

    def as_json(self) -> dict[str, Any]:
        """For ``build/bench.json``."""
        aim = AIMS[self.name]
        return {
            "name": self.name,
            "where": self.where,
            "value": round(self.value, 4),
            "low": round(min(self.rounds), 4),
            "high": round(max(self.rounds), 4),
            "unit": aim.unit,
            "aim": aim.value,
            "met": self.is_met,
            "rounds": [round(value, 4) for value in self.rounds],
            "facts": {name: round(value, 2) for name, value in self.facts.items()},
        }


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Interleaved rounds of both sides, in pairs."""

    ours: Sequence[float]
    bare: Sequence[float]

    @property
    def ratios(self) -> list[float]:
        """Ours divided by the bare one's, pair by pair."""
        return [ours / bare for ours, bare in zip(self.ours, self.bare, strict=True)]

    def facts(self, unit: str) -> dict[str, float]:
        """The medians of both sides."""
        return {f"ours_{unit}": median(self.ours), f"bare_{unit}": median(self.bare)}


async def side_by_side(ours: Side, bare: Side, *, rounds: int) -> Comparison:
    """One warm-up of each, then pairs; who goes first alternates, so that a drift of the machine favours nobody."""
    await bare()
    await ours()
    ours_found: list[float] = []
    bare_found: list[float] = []
    for number in range(rounds):
        for side, found in ((ours, ours_found), (bare, bare_found))[:: 1 if number % 2 else -1]:
            found.append(await side())
    return Comparison(ours=ours_found, bare=bare_found)


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Stopwatch:
    """Seconds between entering and leaving."""

    seconds = 0.0


@asynccontextmanager
async def stopwatch() -> AsyncGenerator[Stopwatch]:
    """Time a block."""
    watch, began = Stopwatch(), time.perf_counter()
    yield watch
    watch.seconds = time.perf_counter() - began
