"""An operation: what was asked for, and how far it is."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

OperationState = Literal["queued", "running", "succeeded", "failed", "cancelled", "compensating"]
EXAMPLE: dict[str, Any] = {
    "id": "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e02",
    "instance_id": "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e01",
    "kind": "deploy",
    "state": "running",
    "error": None,
    "created_at": "2026-11-21T09:59:00Z",
    "started_at": "2026-11-21T09:59:01Z",
    "finished_at": None,
}
STEP_EXAMPLE: dict[str, Any] = {
    "name": "install",
    "title": "Install OpenClaw",
    "state": "running",
    "started_at": "2026-11-21T09:59:05Z",
    "finished_at": None,
    "message": None,
}


class OperationSummary(BaseModel):
    """An operation without its steps."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: UUID
    instance_id: UUID
    kind: str = Field(examples=["deploy"])
    state: OperationState
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Step(BaseModel):
    """One step of an operation."""

    name: str
    title: str
    state: Literal["pending", "running", "done", "failed", "compensated", "skipped", "unknown"]
    started_at: datetime | None
    finished_at: datetime | None
    message: str | None


class Operation(OperationSummary):
    """An operation with its steps; they are known once it runs."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**EXAMPLE, "steps": [STEP_EXAMPLE]}]})

    steps: list[Step]
