"""Whether a channel works, by the gateway's ``channels.status``.

``/readyz`` alone does not tell: a channel that has never reached its service yet, or tries again, counts as ready there
(OpenClaw 2026.9.6, seen).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, Field, JsonValue, ValidationError

from clawdeploy_common.redaction import Redactor

PATIENCE = timedelta(seconds=60)
"""How long a channel may take to connect before that is a failure; a healthy one takes seconds."""

_BROKEN = frozenset({"blocked", "failed", "exited"})
_MOST = 300


class _Account(BaseModel):
    running: bool = False
    connected: bool | None = None
    lifecycle: str | None = None
    last_error: str | None = Field(default=None, alias="lastError")
    last_start_at: float | None = Field(default=None, alias="lastStartAt", description="milliseconds since 1970")

    @property
    def works(self) -> bool:
        return self.connected is True or (self.connected is None and self.running and self.lifecycle == "ready")

    def since(self, now: datetime) -> timedelta:
        started = now if self.last_start_at is None else datetime.fromtimestamp(self.last_start_at / 1000, UTC)
        return now - started


class _Status(BaseModel):
    accounts: dict[str, list[_Account]] = Field(default_factory=dict[str, list[_Account]], alias="channelAccounts")


def judge(payload: JsonValue, channel: str, *, now: datetime) -> tuple[str, str | None]:
    """``ready``, ``failing`` or ``unknown`` (it is connecting, or is not told of), and the reason a person reads."""
    try:
        accounts = _Status.model_validate(payload).accounts.get(channel, [])
    except ValidationError:
        return "unknown", None
    if any(account.works for account in accounts):
        return "ready", None
    return _of_idle(accounts, channel, now=now)


def _of_idle(accounts: Sequence[_Account], channel: str, *, now: datetime) -> tuple[str, str | None]:
    for account in accounts:
        if account.last_error:
            return "failing", Redactor().redact(account.last_error)[:_MOST]
        if account.lifecycle in _BROKEN or account.since(now) > PATIENCE:
            return "failing", f"{channel} does not connect: is the token right, and the service reachable from here?"
    return "unknown", f"{channel} is connecting" if accounts else None
