"""How long a start may take: a fixed time, and longer on a busy machine for as long as the agent gets further."""

import time
from collections.abc import Callable, Sequence

from clawdeploy_provisioner.providers.protocol import telling_line

LOOKS = 3
"""How often within the time the agent's output is compared with what it was before."""

AT_MOST = 4
"""How many times the time a start may take when the agent keeps writing."""


class StartPatience:
    """One start's time limit, in ``seconds``: over when nothing new was written in its last third, or after four times as long."""

    def __init__(self, *, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._began = clock()
        self._looks = 0
        self._lines: list[str] = []

    @property
    def _elapsed(self) -> float:
        return self._clock() - self._began

    def is_due(self) -> bool:
        """Whether it is time to look at the agent's output again."""
        return self._elapsed >= (self._looks + 1) * self._seconds / LOOKS

    def is_over(self, lines: Sequence[str]) -> bool:
        """Whether the start has failed; ``lines`` are the last that the agent has written."""
        self._looks = int(self._elapsed * LOOKS / self._seconds)
        stuck, self._lines = list(lines) == self._lines, list(lines)
        return self._elapsed >= self._seconds and (stuck or self._elapsed >= AT_MOST * self._seconds)

    def complaint(self, lines: Sequence[str]) -> str:
        """What a person reads when it is over."""
        telling = telling_line(lines)
        return f"OpenClaw did not start within {self._elapsed:.0f} s{': ' + telling if telling else ''}"
