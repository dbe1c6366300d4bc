"""What a cloud does after it has answered: actions that take their time, and then succeed, fail, or never end.

An action's state is a function of the clock. Its effect is applied when somebody first looks after its end, in the
order of ends, so that a stopped clock, a killed stand-in and a busy one all come to the same.
"""

import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from clawdeploy_emulators.store import stamp


class ActionState(StrEnum):
    """How far an action is; each cloud has words of its own for these."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"


class Fate(StrEnum):
    """What becomes of the next action that is begun."""

    SUCCESS = "success"
    ERROR = "error"
    ENDLESS = "endless"


@dataclass(frozen=True, kw_only=True)
class Action:
    """One action on one resource; without `ends_at` it never ends."""

    id: int
    command: str
    resource_kind: str
    resource_id: str
    details: dict[str, Any]
    starts_at: datetime
    ends_at: datetime | None
    fails: bool

    def state(self, now: datetime) -> ActionState:
        """Where it is at this moment."""
        if now < self.starts_at:
            return ActionState.WAITING
        if self.ends_at is None or now < self.ends_at:
            return ActionState.RUNNING
        return ActionState.ERROR if self.fails else ActionState.SUCCESS

    def unfinished(self, now: datetime) -> bool:
        """Whether it still holds its resource."""
        return self.state(now) in {ActionState.WAITING, ActionState.RUNNING}

    def progress(self, now: datetime) -> int:
        """Percent; an endless one stops at 99, and 100 is success."""
        if self.state(now) is ActionState.SUCCESS:
            return 100
        elapsed = max(timedelta(), min(now, self.ends_at or now) - self.starts_at)
        whole = self.ends_at - self.starts_at if self.ends_at else timedelta(seconds=10)
        return min(99, int(100 * elapsed / whole)) if whole else 0


class Actions:
    """Actions within one transaction."""

    def __init__(self, connection: sqlite3.Connection, *, now: datetime, seconds: float, fate: Fate) -> None:
        self._connection = connection
        self._now = now
        self._length = timedelta(seconds=seconds)
        self._fate = fate

    def begin(
        self,
        command: str,
        *,
        of: tuple[str, object],
        id_: int,
        after: Action | None = None,
        length: timedelta | None = None,
        **details: Any,
    ) -> Action:
        """Begin an action on a resource, now or when another one has ended; it never starts when that one fails."""
        starts_at, ends_at, fails = self._course(after, self._length if length is None else length)
        kind, resource_id = of
        action = Action(
            id=id_,
            command=command,
            resource_kind=kind,
            resource_id=str(resource_id),
            details=details,
            starts_at=starts_at,
            ends_at=ends_at,
            fails=fails,
        )
        self._insert(action)
        return action

    def find(self, id_: object) -> Action | None:
        """The action with this id."""
        row = self._connection.execute("SELECT * FROM actions WHERE id = ?", (str(id_),)).fetchone()
        return None if row is None else _action(row)

    def of(self, kind: str, id_: object) -> list[Action]:
        """Every action of a resource, the oldest first."""
        rows = self._connection.execute(
            "SELECT * FROM actions WHERE resource_kind = ? AND resource_id = ? ORDER BY id", (kind, str(id_))
        )
        return [_action(row) for row in rows]

    def busy(self, kind: str, id_: object) -> bool:
        """Whether an action still holds the resource."""
        return any(action.unfinished(self._now) for action in self.of(kind, id_))

    def busy_for_now(self, kind: str, id_: object) -> bool:
        """Whether an action holds the resource that will end; one that never does gives way to a deletion."""
        return any(action.unfinished(self._now) and action.ends_at for action in self.of(kind, id_))

    def due(self) -> list[Action]:
        """What ended and had no effect yet, in the order of ends."""
        rows = self._connection.execute(
            "SELECT * FROM actions WHERE settled = 0 AND ends_at <= ? ORDER BY ends_at, id", (stamp(self._now),)
        )
        return [_action(row) for row in rows]

    def settled(self, action: Action) -> None:
        """Its effect was applied."""
        self._connection.execute("UPDATE actions SET settled = 1 WHERE id = ?", (action.id,))

    def abandon(self, kind: str, id_: object) -> None:
        """End what still runs on a resource that is no more: it fails now, without effect."""
        self._connection.execute(
            "UPDATE actions SET fails = 1, settled = 1, ends_at = max(starts_at, :now)"
            " WHERE resource_kind = :kind AND resource_id = :id AND settled = 0 AND (ends_at IS NULL OR ends_at > :now)",
            {"kind": kind, "id": str(id_), "now": stamp(self._now)},
        )

    def end_endless(self) -> None:
        """End, with success, what would never have ended."""
        self._connection.execute("UPDATE actions SET ends_at = ? WHERE ends_at IS NULL", (stamp(self._now),))

    def _course(self, after: Action | None, length: timedelta) -> tuple[datetime, datetime | None, bool]:
        if after is not None and after.ends_at is None:
            return self._now, None, False
        starts_at = self._now if after is None or after.ends_at is None else after.ends_at
        if after is not None and after.fails:
            return starts_at, starts_at, True
        if after is not None or self._fate is Fate.SUCCESS:
            return starts_at, starts_at + length, False
        return (starts_at, None, False) if self._fate is Fate.ENDLESS else (starts_at, starts_at + length, True)

    def _insert(self, action: Action) -> None:
        self._connection.execute(
            "INSERT INTO actions (id, command, resource_kind, resource_id, details, starts_at, ends_at, fails)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                action.id,
                action.command,
                action.resource_kind,
                action.resource_id,
                json.dumps(action.details),
                stamp(action.starts_at),
                None if action.ends_at is None else stamp(action.ends_at),
                int(action.fails),
            ),
        )


def _action(row: sqlite3.Row) -> Action:
    return Action(
        id=row["id"],
        command=row["command"],
        resource_kind=row["resource_kind"],
        resource_id=row["resource_id"],
        details=json.loads(row["details"]),
        starts_at=datetime.fromisoformat(row["starts_at"]),
        ends_at=datetime.fromisoformat(row["ends_at"]) if row["ends_at"] else None,
        fails=bool(row["fails"]),
    )
