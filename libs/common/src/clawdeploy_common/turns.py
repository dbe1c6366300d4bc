"""Whose turn it is: a key's events are applied one after another, each once (law 2)."""

from typing import Literal

from clawdeploy_common.events import Position
from clawdeploy_common.parking import Parked
from clawdeploy_common.records import Record

Turn = Literal["next", "done", "gap", "behind"]


class Turns:
    """What one kind of handler has applied of some locked keys, and what is parked of them, as a batch goes through."""

    def __init__(self, last: dict[Position, int], parked: Parked) -> None:
        self._last = last
        self._parked = parked
        self.moved: dict[Position, int] = {}

    def of(self, record: Record) -> Turn:
        """Whether a record is its key's next, was done before, or is ahead: of something parked, or of something not seen."""
        at, version = record.position, record.version
        while self._parked and self._parked.get((at, self._last[at] + 1)) == "dropped":
            self._move(at)
        if version <= self._last[at] or (at, version) in self._parked:
            return "done"
        if version == self._last[at] + 1:
            return "next"
        waiting = any(p == at and state != "dropped" for (p, _), state in self._parked.items())
        return "behind" if waiting else "gap"

    def advance(self, record: Record) -> None:
        """Count a key's next record as applied."""
        self._move(record.position)

    def park(self, record: Record) -> None:
        """Remember that a record was parked."""
        self._parked[record.position, record.version] = "parked"

    def _move(self, at: Position) -> None:
        self._last[at] += 1
        self.moved[at] = self._last[at]
