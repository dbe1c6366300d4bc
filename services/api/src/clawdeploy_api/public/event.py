"""An event of an account, in CloudEvents' structured style."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Event(BaseModel):
    """What happened; ``position`` is its place in the account's feed, without gaps."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "specversion": "1.0",
                    "id": "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e03",
                    "source": "/clawdeploy/provisioner",
                    "type": "instance.started.v1",
                    "subject": "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e01",
                    "sequence": 12,
                    "time": "2026-11-21T09:59:30Z",
                    "accountid": "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e00",
                    "correlationid": "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e02",
                    "position": 17,
                    "data": {"server_id": "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e04"},
                }
            ]
        }
    )

    specversion: str = "1.0"
    id: UUID
    source: str
    type: str
    subject: UUID
    sequence: int = Field(description="the version of the subject's stream at its source")
    time: datetime
    accountid: UUID
    correlationid: UUID | None
    position: int
    data: Any


def event_of(row: Any) -> Event:
    """From a row of the feed."""
    return Event(
        id=row.event_id,
        source=row.source,
        type=row.type,
        subject=row.key,
        sequence=row.version,
        time=row.time,
        accountid=row.account_id,
        correlationid=row.correlation_id,
        position=row.position,
        data=_data(bytes(row.data)),
    )


def _data(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:  # the feed keeps what came, readable or not
        return None
