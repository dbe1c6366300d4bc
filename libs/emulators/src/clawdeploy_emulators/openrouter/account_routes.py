"""/credits, /activity and /generation: what the account spent; /models: what it could spend it on."""

from datetime import date, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from clawdeploy_emulators.openrouter.catalogue import BY_ID, MODELS, published
from clawdeploy_emulators.openrouter.context import Context, InContext, caller, manager
from clawdeploy_emulators.openrouter.errors import InvalidParameters, ResourceNotFound
from clawdeploy_emulators.openrouter.ledger import ACTIVITY_DAYS, Activity, Generation
from clawdeploy_emulators.openrouter.money import NANOS_PER_MICRO, dollars

router = APIRouter()
NOT_MEASURED = (
    "app_id",
    "cache_discount",
    "latency",
    "moderation_latency",
    "generation_time",
    "native_tokens_completion_images",
    "num_media_prompt",
    "num_input_audio_prompt",
    "num_media_completion",
    "num_search_results",
    "num_fetches",
    "preset_id",
    "provider_responses",
    "router",
    "service_tier",
    "upstream_id",
    "upstream_inference_cost",
    "web_search_engine",
)


@router.get("/credits", dependencies=[Depends(manager)])
def get_credits(context: InContext) -> dict[str, Any]:
    """Credits bought and used, in dollars."""
    bought = context.settings.credits_micros * NANOS_PER_MICRO
    return {"data": {"total_credits": dollars(bought), "total_usage": dollars(context.ledger.total_nanos())}}


@router.get("/activity", dependencies=[Depends(manager)])
def get_activity(
    context: InContext,
    day: Annotated[date | None, Query(alias="date")] = None,
    api_key_hash: str | None = None,
    workspace_id: UUID | None = None,
) -> dict[str, Any]:
    """Spending per model and completed UTC day of the last 30."""
    first, last = _days(context, day)
    if workspace_id not in {None, context.settings.workspace_id}:
        return {"data": []}
    rows = context.ledger.activity(key_hash=api_key_hash, first=first, last=last)
    return {"data": [_activity(row) for row in rows]}


@router.get("/generation", dependencies=[Depends(caller)])
def get_generation(
    context: InContext, generation_id: Annotated[str, Query(alias="id", min_length=1)]
) -> dict[str, Any]:
    """What one call cost."""
    generation = context.ledger.find(generation_id)
    if generation is None:
        raise ResourceNotFound
    return {"data": _generation(generation, context)}


@router.get("/models")
def list_models(
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
    q: str = "",
) -> dict[str, Any]:
    """The models with their prices; open to everybody."""
    found = [model for model in MODELS if q.lower() in f"{model.id} {model.name}".lower()]
    following = f"/api/v1/models?offset={offset + limit}&limit={limit}" if offset + limit < len(found) else None
    return {
        "data": [published(model) for model in found[offset : offset + limit]],
        "total_count": len(found),
        "links": {"next": following},
    }


def _days(context: Context, day: date | None) -> tuple[date, date]:
    today = context.now().date()
    oldest, newest = today - timedelta(days=ACTIVITY_DAYS), today - timedelta(days=1)
    if day is None:
        return oldest, newest
    if not oldest <= day <= newest:
        raise InvalidParameters("Date must be within the last 30 (completed) UTC days")
    return day, day


def _activity(row: Activity) -> dict[str, Any]:
    model = BY_ID[row.model]
    return {
        "date": row.day,
        "model": model.id,
        "model_permaslug": model.canonical_slug,
        "endpoint_id": str(model.endpoint_id),
        "provider_name": model.provider,
        "usage": dollars(row.cost_nanos),
        "byok_usage_inference": 0,
        "requests": row.requests,
        "prompt_tokens": row.prompt_tokens,
        "cached_tokens": row.cached_tokens,
        "completion_tokens": row.completion_tokens,
        "reasoning_tokens": 0,
    }


def _generation(generation: Generation, context: Context) -> dict[str, Any]:
    cost = dollars(generation.cost_nanos)
    return {
        **dict.fromkeys(NOT_MEASURED),
        "id": generation.id,
        "api_type": "completions",
        "cancelled": False,
        "created_at": generation.created_at,
        "data_region": "global",
        "external_user": generation.external_user,
        "finish_reason": generation.finish_reason,
        "http_referer": generation.http_referer,
        "is_byok": False,
        "model": BY_ID[generation.model].canonical_slug,
        "native_finish_reason": generation.finish_reason,
        "native_tokens_cached": generation.cached_tokens,
        "native_tokens_completion": generation.completion_tokens,
        "native_tokens_prompt": generation.prompt_tokens,
        "native_tokens_reasoning": 0,
        "origin": generation.http_referer or "",
        "provider_name": BY_ID[generation.model].provider,
        "streamed": generation.streamed,
        "tokens_completion": generation.completion_tokens,
        "tokens_prompt": generation.prompt_tokens,
        "total_cost": cost,
        "usage": cost,
        "user_agent": generation.user_agent,
        "workspace_id": str(context.settings.workspace_id),
    }
