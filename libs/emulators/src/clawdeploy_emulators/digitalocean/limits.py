"""DigitalOcean's rate limits: so many calls in any hour, so many in any minute, and few listings of keys."""

import math
from collections import deque
from datetime import datetime

from clawdeploy_emulators.cloud.rate_limit import Verdict

HOUR, MINUTE = 3600.0, 60.0
KEYS = ("GET", "/account/keys")


class Window:
    """At most so many calls within the last so many seconds."""

    def __init__(self, *, size: int, seconds: float) -> None:
        self.size = size
        self._seconds = seconds
        self._calls: deque[float] = deque()

    def left(self, now: float) -> int:
        """How many calls more would pass."""
        while self._calls and self._calls[0] <= now - self._seconds:
            self._calls.popleft()
        return self.size - len(self._calls)

    def take(self, now: float) -> None:
        """Count a call."""
        self._calls.append(now)

    def reset(self, now: float) -> float:
        """When the oldest call counts no longer."""
        return (self._calls[0] if self._calls else now) + self._seconds


class Windows:
    """The three limits of an account. In memory: a restarted stand-in has counted nothing."""

    def __init__(self, *, per_hour: int, per_minute: int, key_listings: int) -> None:
        self._hour = Window(size=per_hour, seconds=HOUR)
        self._minute = Window(size=per_minute, seconds=MINUTE)
        self._keys = Window(size=key_listings, seconds=MINUTE)

    def judge(self, *, method: str, path: str, now: datetime) -> Verdict:
        """Count one call in every window it belongs to, if all have room."""
        at = now.timestamp()
        concerned = [self._hour, self._minute, *([self._keys] if (method, path) == KEYS else [])]
        full = [window for window in concerned if window.left(at) <= 0]
        if not full:
            for window in concerned:
                window.take(at)
        shown = full[0] if full else self._hour
        headers = _headers(shown, at)
        if full and full[0] is not self._hour:
            headers["retry-after"] = str(math.ceil(full[0].reset(at) - at))
        return Verdict(passes=not full, headers=headers)

    def refusal_headers(self, seconds: int) -> dict[str, str]:
        """What is said beside a 429 that is over in so many seconds."""
        return {"ratelimit-limit": str(self._minute.size), "ratelimit-remaining": "0", "retry-after": str(seconds)}


def _headers(window: Window, at: float) -> dict[str, str]:
    return {
        "ratelimit-limit": str(window.size),
        "ratelimit-remaining": str(max(0, window.left(at))),
        "ratelimit-reset": str(math.ceil(window.reset(at))),
    }
