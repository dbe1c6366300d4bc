"""What the OpenRouter stand-in is told from outside."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from uuid import UUID

BASE_PATH = "/api/v1"
WORKSPACE_ID = UUID("3c8d4a2e-6b1f-5d70-9e44-7a0c5b9f1e26")


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class OpenRouterSettings:
    """Settings of one stand-in; two with the same state file at once are not supported."""

    state_file: Path
    management_key: str = field(repr=False)
    credits_micros: int = 1_000_000_000  # bought credits in micro-dollars: what /credits calls total_credits
    spent_key_status: Literal[402, 403] = 402  # both were seen of the real one when a key's own limit is spent
    chunk_delay_seconds: float = 0.0  # between two pieces of a streamed answer
    workspace_id: UUID = WORKSPACE_ID
    user_id: str = "user_standin0000000000000000000"
    clock: Callable[[], datetime] = utc_now
