"""/keys for the management key, /key for any key."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    field_validator,
)

from clawdeploy_emulators.openrouter.context import Caller, Context, InContext, Token, manager
from clawdeploy_emulators.openrouter.errors import ResourceNotFound
from clawdeploy_emulators.openrouter.keys import Key, LimitReset, NewKey, key_label, window_end
from clawdeploy_emulators.openrouter.money import dollars, nanos_from_dollars
from clawdeploy_emulators.store import stamp

router = APIRouter()
MOST_DOLLARS = 1_000_000
Dollars = Annotated[StrictFloat | StrictInt, Field(ge=0, le=MOST_DOLLARS, allow_inf_nan=False)]
HIDDEN_FROM_ITSELF = {"hash", "name", "disabled", "created_at", "updated_at", "last_used_at", "external_user"}
FREE_REQUESTS = 1000  # a day, for an account that bought credits; no free model is sold here, so none is ever used
RATE_LIMIT = {"requests": -1, "interval": "10s", "note": "This field is deprecated and safe to ignore."}


class ExternalIdentity(BaseModel):
    """Whom a partner's key is for. A key of the partner's own making is not supported and refused."""

    model_config = ConfigDict(extra="forbid")

    user: Annotated[StrictStr, Field(min_length=1, max_length=512)]


class KeyCreation(BaseModel):
    """The body of POST /keys."""

    name: Annotated[StrictStr, Field(min_length=1)]
    limit: Dollars | None = None
    limit_reset: LimitReset | None = None
    include_byok_in_limit: StrictBool = False
    expires_at: AwareDatetime | None = None
    workspace_id: UUID | None = None
    creator_user_id: Annotated[StrictStr, Field(min_length=1)] | None = None
    external: ExternalIdentity | None = None

    @field_validator("expires_at")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.utcoffset() != timedelta(0):
            raise ValueError("must be UTC")
        return value


class KeyChange(BaseModel):
    """The body of PATCH /keys/{hash}; what is absent stays as it is."""

    name: StrictStr = ""
    disabled: StrictBool = False
    limit: Dollars | None = None
    limit_reset: LimitReset | None = None
    include_byok_in_limit: StrictBool = False

    def columns(self) -> dict[str, Any]:
        """The columns that were given."""
        given = self.model_dump(exclude_unset=True)
        if "limit" in given:
            limit = given.pop("limit")
            given["limit_nanos"] = None if limit is None else nanos_from_dollars(limit)
        return given


@router.post("/keys", status_code=201, dependencies=[Depends(manager)])
def create_key(body: KeyCreation, context: InContext) -> dict[str, Any]:
    """Mint a key; its string is in this answer and in no other."""
    new = NewKey(
        name=body.name,
        limit_nanos=None if body.limit is None else nanos_from_dollars(body.limit),
        limit_reset=body.limit_reset,
        include_byok_in_limit=body.include_byok_in_limit,
        expires_at=body.expires_at,
        creator_user_id=body.creator_user_id or context.settings.user_id,
        external_user=body.external.user if body.external else None,
    )
    key, secret = context.keys.create(new, now=context.now())
    return {"data": published(key, context), "key": secret}


@router.get("/keys", dependencies=[Depends(manager)])
def list_keys(
    context: InContext,
    offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
    include_disabled: Literal["true", "false"] = "false",
    include_expired: Literal["true", "false"] = "false",
    workspace_id: UUID | None = None,
) -> dict[str, Any]:
    """A page of 100 keys, the newest first."""
    if workspace_id not in {None, context.settings.workspace_id}:
        return {"data": []}
    shown = context.keys.page(
        offset=offset,
        include_disabled=include_disabled == "true",
        include_expired=include_expired == "true",
        now=context.now(),
    )
    return {"data": [published(key, context) for key in shown]}


@router.get("/keys/{hash_}", dependencies=[Depends(manager)])
def get_key(hash_: str, context: InContext) -> dict[str, Any]:
    """One key."""
    return {"data": published(_known(context.keys.find(hash_, now=context.now())), context)}


@router.patch("/keys/{hash_}", dependencies=[Depends(manager)])
def update_key(hash_: str, body: KeyChange, context: InContext) -> dict[str, Any]:
    """Rename, disable, or change the limit of a key."""
    return {"data": published(_known(context.keys.update(hash_, body.columns(), now=context.now())), context)}


@router.delete("/keys/{hash_}", dependencies=[Depends(manager)])
def delete_key(hash_: str, context: InContext) -> dict[str, Any]:
    """Delete a key for good."""
    if not context.keys.delete(hash_, now=context.now()):
        raise ResourceNotFound
    return {"deleted": True}


@router.get("/key")
def get_current_key(key: Caller, token: Token, context: InContext) -> dict[str, Any]:
    """What a key may know about itself."""
    managing = key is None
    itself = key or Key(
        hash="",
        name="",
        label=key_label(token),
        disabled=False,
        limit_nanos=None,
        limit_reset=None,
        include_byok_in_limit=False,
        expires_at=None,
        creator_user_id=context.settings.user_id,
        created_at="",
        updated_at=None,
    )
    data = {name: value for name, value in published(itself, context).items() if name not in HIDDEN_FROM_ITSELF}
    flags = {"is_free_tier": False, "is_management_key": managing, "is_provisioning_key": managing}
    return {"data": {**data, **flags, **_budgets(itself, context), "rate_limit": RATE_LIMIT}}


def _budgets(key: Key, context: Context) -> dict[str, Any]:
    """The layers that bound a key's spending: here its own limit only."""
    layers = [] if key.limit_nanos is None else [_own_limit(key, key.limit_nanos, context.now())]
    return {
        "budgets": layers,
        "effective_budget": layers[0] if layers else None,
        "free_model_daily_requests": {"limit": FREE_REQUESTS, "remaining": FREE_REQUESTS, "used": 0},
        "allowed_data_regions": ["global"],
        "organization_id": None,
    }


def _own_limit(key: Key, limit_nanos: int, now: datetime) -> dict[str, Any]:
    end = window_end(key.limit_reset, now)
    return {
        "scope": "key_limit",
        "budget_id": None,
        "guardrail_id": None,
        "include_byok": key.include_byok_in_limit,
        "limit_usd": dollars(limit_nanos),
        "spend_usd": dollars(key.spent_nanos),
        "remaining_usd": dollars(limit_nanos - key.spent_nanos),
        "reset_interval": key.limit_reset,
        "resets_at": None if end is None else stamp(end),
    }


def published(key: Key, context: Context) -> dict[str, Any]:
    """The key as the API shows it, amounts in dollars."""
    remaining = key.remaining_nanos
    return {
        "hash": key.hash,
        "name": key.name,
        "label": key.label,
        "disabled": key.disabled,
        "limit": None if key.limit_nanos is None else dollars(key.limit_nanos),
        "limit_remaining": None if remaining is None else dollars(remaining),
        "limit_reset": key.limit_reset,
        "include_byok_in_limit": key.include_byok_in_limit,
        "usage": dollars(key.usage_nanos),
        "usage_daily": dollars(key.daily_nanos),
        "usage_weekly": dollars(key.weekly_nanos),
        "usage_monthly": dollars(key.monthly_nanos),
        **dict.fromkeys(("byok_usage", "byok_usage_daily", "byok_usage_weekly", "byok_usage_monthly"), 0),
        "created_at": key.created_at,
        "updated_at": key.updated_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "creator_user_id": key.creator_user_id,
        "external_user": key.external_user,
        "workspace_id": str(context.settings.workspace_id),
    }


def _known(key: Key | None) -> Key:
    if key is None:
        raise ResourceNotFound
    return key
