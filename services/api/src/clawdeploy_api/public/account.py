"""Accounts as people see them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from clawdeploy_api.public.texts import display_text

EXAMPLE: dict[str, Any] = {
    "id": "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e00",
    "name": "Ada",
    "plan": "basic",
    "role": "user",
    "quota": {"max_instances": 2, "used": 1},
}


class Quota(BaseModel):
    """How many instances an account may have, and has; failed ones count until they are deleted."""

    max_instances: int
    used: int


class Me(BaseModel):
    """The account the API key belongs to."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: UUID
    name: str
    plan: str
    role: str
    quota: Quota


class Account(Me):
    """An account as operators see it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**EXAMPLE, "external_id": "crm-17", "created_at": "2026-11-21T09:00:00Z"}]}
    )

    external_id: str | None
    created_at: datetime


class NewAccountWithKey(Account):
    """An account that was just made; its API key is shown this once (a repeated request shows null)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **EXAMPLE,
                    "external_id": "crm-17",
                    "created_at": "2026-11-21T09:00:00Z",
                    "api_key": "<claw_ and 43 characters, shown once>",  # pragma: allowlist secret
                }
            ]
        }
    )

    api_key: str | None


class CreateAccount(BaseModel):
    """What an account is made from."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "Ada", "plan": "basic", "external_id": "crm-17"}]}
    )

    name: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(display_text)]
    plan: Literal["free", "basic", "starter", "pro", "enterprise"] | None = None
    external_id: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(display_text)] | None = Field(
        default=None, description="its id in another system; unique"
    )
    max_instances: int | None = Field(default=None, ge=0, le=1_000_000, description="overrides what the plan gives")
