"""How soon a process that ended is started again, and when it counts as failed. Pure: times are given."""

from collections import deque

WINDOW_S = 60.0
FAILED_AFTER = 5
_FIRST_S, _LONGEST_S = 0.2, 15.0


class Backoff:
    """Remembers the exits of one process within the last minute (monotonic seconds)."""

    def __init__(self) -> None:
        self._exits: deque[float] = deque()

    def exited(self, now: float) -> float:
        """Note an exit; answers how many seconds to wait before the next start: 0.2, 0.4, 0.8 … at most 15."""
        self._exits.append(now)
        self._forget(now)
        return min(_LONGEST_S, _FIRST_S * 2 ** (len(self._exits) - 1))

    def has_failed(self, now: float) -> bool:
        """Whether it ended five times or more within the last minute."""
        self._forget(now)
        return len(self._exits) >= FAILED_AFTER

    def _forget(self, now: float) -> None:
        while self._exits and now - self._exits[0] > WINDOW_S:
            self._exits.popleft()
