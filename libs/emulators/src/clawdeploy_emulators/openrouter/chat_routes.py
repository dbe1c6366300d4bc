"""/chat/completions, whole or as server-sent events."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Header
from fastapi.responses import JSONResponse, Response, StreamingResponse

from clawdeploy_emulators.openrouter.completion import Completion, check_funds, choose_model, complete
from clawdeploy_emulators.openrouter.context import Context, InContext, OrdinaryKey
from clawdeploy_emulators.openrouter.conversation import Conversation
from clawdeploy_emulators.openrouter.keys import Key
from clawdeploy_emulators.openrouter.ledger import Generation, new_generation_id
from clawdeploy_emulators.openrouter.money import NANOS_PER_MICRO, dollars
from clawdeploy_emulators.store import stamp

log = structlog.get_logger()
router = APIRouter()
PIECE = re.compile(r"\S+\s*|\s+")
PROCESSING = ": OPENROUTER PROCESSING\n\n"
DONE = "data: [DONE]\n\n"


@router.post("/chat/completions")
def create_completion(
    conversation: Conversation,
    key: OrdinaryKey,
    context: InContext,
    user_agent: Annotated[str | None, Header()] = None,
    http_referer: Annotated[str | None, Header()] = None,
) -> Response:
    """Answer a conversation and bill it to the key.

    The bill is written before the first byte leaves, so a caller that hangs up is billed in full.
    """
    now = context.now()
    model = choose_model(conversation)
    check_funds(
        conversation,
        model=model,
        key=key,
        account_nanos=_account_nanos(context),
        spent_key_status=context.settings.spent_key_status,
    )
    completion = complete(conversation, model=model)
    generation = _generation(completion, conversation, key=key, now=now, agent=user_agent, referer=http_referer)
    context.ledger.record(generation)
    log.info("generation.billed", key=key.label, model=model.id, cost_nanos=completion.cost_nanos)
    if conversation.stream:
        events = _events(completion, _head(generation, now), delay=context.settings.chunk_delay_seconds)
        return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
    return JSONResponse(_whole(completion, _head(generation, now)))


def _account_nanos(context: Context) -> int:
    return context.settings.credits_micros * NANOS_PER_MICRO - context.ledger.total_nanos()


def _generation(
    completion: Completion,
    conversation: Conversation,
    *,
    key: Key,
    now: datetime,
    agent: str | None,
    referer: str | None,
) -> Generation:
    return Generation(
        id=new_generation_id(now),
        key_hash=key.hash,
        created_at=stamp(now),
        model=completion.model.id,
        streamed=bool(conversation.stream),
        finish_reason=completion.finish_reason,
        external_user=conversation.user,
        user_agent=agent,
        http_referer=referer,
        prompt_tokens=completion.prompt_tokens,
        cached_tokens=completion.cached_tokens,
        completion_tokens=completion.completion_tokens,
        cost_nanos=completion.cost_nanos,
    )


def _head(generation: Generation, now: datetime) -> dict[str, Any]:
    return {"id": generation.id, "model": generation.model, "created": int(now.timestamp())}


def _usage(completion: Completion) -> dict[str, Any]:
    return {
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "total_tokens": completion.prompt_tokens + completion.completion_tokens,
        "cost": dollars(completion.cost_nanos),
        "is_byok": False,
        "prompt_tokens_details": {"cached_tokens": completion.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _whole(completion: Completion, head: dict[str, Any]) -> dict[str, Any]:
    choice = {
        "index": 0,
        "logprobs": None,
        "finish_reason": completion.finish_reason,
        "native_finish_reason": completion.finish_reason,
        "message": {"role": "assistant", "content": completion.text, "refusal": None, "reasoning": None},
    }
    return {
        **head,
        "object": "chat.completion",
        "provider": completion.model.provider,
        "system_fingerprint": None,
        "choices": [choice],
        "usage": _usage(completion),
    }


async def _events(completion: Completion, head: dict[str, Any], *, delay: float) -> AsyncIterator[str]:
    """The answer word by word, then how it ended, then what it cost, then `[DONE]`."""
    frame = {**head, "object": "chat.completion.chunk", "provider": completion.model.provider}
    yield PROCESSING
    for piece in PIECE.findall(completion.text):
        yield _event({**frame, "choices": [_delta(piece)]})
        if delay:
            await asyncio.sleep(delay)
    yield _event({**frame, "choices": [_delta("", finish_reason=completion.finish_reason)]})
    yield _event({**frame, "choices": [], "usage": _usage(completion)})
    yield DONE


def _delta(content: str, *, finish_reason: str | None = None) -> dict[str, Any]:
    return {
        "index": 0,
        "delta": {"role": "assistant", "content": content},
        "finish_reason": finish_reason,
        "native_finish_reason": finish_reason,
        "logprobs": None,
    }


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"
