"""The models the stand-in sells, with the identifiers and prices OpenRouter listed for them (nano-dollars per token)."""

from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from clawdeploy_emulators.openrouter.money import decimal_string

PARAMETERS = ["max_tokens", "response_format", "seed", "stop", "temperature", "tool_choice", "tools", "top_p"]


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model. Prices are nano-dollars per token; `routes_to` marks a router, which has no price of its own."""

    id: str
    canonical_slug: str
    name: str
    provider: str
    tokenizer: str
    created: int
    context_length: int
    max_completion_tokens: int
    prompt_nanos: int = 0
    completion_nanos: int = 0
    cache_read_nanos: int = 0
    routes_to: str | None = None

    @property
    def endpoint_id(self) -> UUID:
        """Identity of the one endpoint that serves this model here."""
        return uuid5(NAMESPACE_URL, f"standin:{self.canonical_slug}")

    def cost_nanos(self, *, prompt_tokens: int, cached_tokens: int, completion_tokens: int) -> int:
        """Exact cost of a call in nano-dollars; cached tokens are part of the prompt tokens."""
        fresh = (prompt_tokens - cached_tokens) * self.prompt_nanos
        return fresh + cached_tokens * self.cache_read_nanos + completion_tokens * self.completion_nanos


MODELS = (
    Model(
        id="anthropic/claude-opus-4.5",
        canonical_slug="anthropic/claude-4.5-opus-20251124",
        name="Anthropic: Claude Opus 4.5",
        provider="Anthropic",
        tokenizer="Claude",
        created=1764010580,
        context_length=200_000,
        max_completion_tokens=64_000,
        prompt_nanos=5_000,
        completion_nanos=25_000,
        cache_read_nanos=500,
    ),
    Model(
        id="anthropic/claude-sonnet-4.5",
        canonical_slug="anthropic/claude-4.5-sonnet-20250929",
        name="Anthropic: Claude Sonnet 4.5",
        provider="Anthropic",
        tokenizer="Claude",
        created=1759161676,
        context_length=1_000_000,
        max_completion_tokens=64_000,
        prompt_nanos=3_000,
        completion_nanos=15_000,
        cache_read_nanos=300,
    ),
    Model(
        id="anthropic/claude-haiku-4.5",
        canonical_slug="anthropic/claude-4.5-haiku-20251001",
        name="Anthropic: Claude Haiku 4.5",
        provider="Anthropic",
        tokenizer="Claude",
        created=1760547638,
        context_length=200_000,
        max_completion_tokens=64_000,
        prompt_nanos=1_000,
        completion_nanos=5_000,
        cache_read_nanos=100,
    ),
    Model(
        id="openai/gpt-5.2",
        canonical_slug="openai/gpt-5.2-20251211",
        name="OpenAI: GPT-5.2",
        provider="OpenAI",
        tokenizer="GPT",
        created=1765389775,
        context_length=400_000,
        max_completion_tokens=128_000,
        prompt_nanos=1_750,
        completion_nanos=14_000,
        cache_read_nanos=175,
    ),
    Model(
        id="openai/gpt-5-mini",
        canonical_slug="openai/gpt-5-mini-2025-08-07",
        name="OpenAI: GPT-5 Mini",
        provider="OpenAI",
        tokenizer="GPT",
        created=1754587407,
        context_length=400_000,
        max_completion_tokens=128_000,
        prompt_nanos=250,
        completion_nanos=2_000,
        cache_read_nanos=25,
    ),
    Model(
        id="google/gemini-3-flash-preview",
        canonical_slug="google/gemini-3-flash-preview-20251217",
        name="Google: Gemini 3 Flash Preview",
        provider="Google AI Studio",
        tokenizer="Gemini",
        created=1765987078,
        context_length=1_048_576,
        max_completion_tokens=65_536,
        prompt_nanos=500,
        completion_nanos=3_000,
        cache_read_nanos=50,
    ),
    Model(
        id="openrouter/auto",
        canonical_slug="openrouter/auto",
        name="Auto Router",
        provider="OpenRouter",
        tokenizer="Router",
        created=1699401600,
        context_length=2_000_000,
        max_completion_tokens=128_000,
        routes_to="openai/gpt-5-mini",
    ),
)
DEFAULT_MODEL_ID = "openrouter/auto"
BY_ID = {model.id: model for model in MODELS} | {model.canonical_slug: model for model in MODELS}


def find_model(model_id: str) -> Model | None:
    """The model that serves this identifier (a router's target for a router), or None when nobody sells it."""
    model = BY_ID.get(model_id)
    if model is not None and model.routes_to is not None:
        return BY_ID[model.routes_to]
    return model


def published(model: Model) -> dict[str, Any]:
    """The model as one row of GET /models."""
    return {
        "id": model.id,
        "canonical_slug": model.canonical_slug,
        "hugging_face_id": "",
        "name": model.name,
        "created": model.created,
        "description": f"Stand-in of {model.name}: same identifier and price, computed answers.",
        "context_length": model.context_length,
        "architecture": {
            "modality": "text->text",
            "input_modalities": ["text"],
            "output_modalities": ["text"],
            "tokenizer": model.tokenizer,
            "instruct_type": None,
        },
        "pricing": _pricing(model),
        "top_provider": {
            "context_length": model.context_length,
            "max_completion_tokens": model.max_completion_tokens,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": PARAMETERS,
        "supported_voices": None,
        "default_parameters": {},
        "links": {"details": f"/api/v1/models/{model.canonical_slug}/endpoints"},
    }


def _pricing(model: Model) -> dict[str, str]:
    if model.routes_to is not None:
        return {"prompt": "-1", "completion": "-1"}  # a router is priced by the model it picks
    return {
        "prompt": decimal_string(model.prompt_nanos),
        "completion": decimal_string(model.completion_nanos),
        "request": "0",
        "image": "0",
        "web_search": "0",
        "internal_reasoning": "0",
        "input_cache_read": decimal_string(model.cache_read_nanos),
    }
