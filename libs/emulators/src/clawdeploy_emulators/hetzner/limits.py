"""Hetzner's rate limit: a bucket per project that refills evenly over the hour."""

import math
from datetime import datetime

from clawdeploy_emulators.cloud.rate_limit import Verdict

SECONDS_PER_HOUR = 3600


class Bucket:
    """So many calls an hour; bursts are allowed until it is empty. In memory: a restarted stand-in has a full one."""

    def __init__(self, *, size: int) -> None:
        self._size = size
        self._tokens = float(size)
        self._at: datetime | None = None

    def judge(self, *, method: str, path: str, now: datetime) -> Verdict:
        """Take one token, when there is one."""
        del method, path  # all calls count alike
        elapsed = (now - self._at).total_seconds() if self._at else 0.0
        self._at = now
        self._tokens = min(float(self._size), self._tokens + max(0.0, elapsed) * self._size / SECONDS_PER_HOUR)
        passes = self._tokens >= 1
        self._tokens -= 1 if passes else 0
        missing = (self._size - self._tokens) * SECONDS_PER_HOUR / self._size
        return Verdict(passes=passes, headers=self._headers(math.ceil(now.timestamp() + missing)))

    def refusal_headers(self, seconds: int) -> dict[str, str]:
        """What is said beside a 429 that is over in so many seconds."""
        now = self._at.timestamp() if self._at else 0.0
        return {**self._headers(math.ceil(now) + seconds), "RateLimit-Remaining": "0"}

    def _headers(self, full_at: int) -> dict[str, str]:
        return {
            "RateLimit-Limit": str(self._size),
            "RateLimit-Remaining": str(int(self._tokens)),
            "RateLimit-Reset": str(full_at),
        }
