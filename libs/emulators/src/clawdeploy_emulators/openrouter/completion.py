"""One completion, decided from values: the model, the answer, its size and its exact cost."""

from dataclasses import dataclass

from clawdeploy_emulators.openrouter.answer import answer_to
from clawdeploy_emulators.openrouter.catalogue import DEFAULT_MODEL_ID, Model, find_model
from clawdeploy_emulators.openrouter.conversation import BYTES_PER_TOKEN, Conversation, count_tokens
from clawdeploy_emulators.openrouter.errors import InvalidParameters, PaymentRequired
from clawdeploy_emulators.openrouter.keys import Key

KEYS_PAGE = "https://openrouter.ai/settings/keys"
CREDITS_PAGE = "https://openrouter.ai/settings/credits"


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What a model answered; the cost is nano-dollars."""

    model: Model
    text: str
    finish_reason: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int

    @property
    def cost_nanos(self) -> int:
        """Exact cost: fresh and cached prompt tokens and the answer's, each at its price."""
        return self.model.cost_nanos(
            prompt_tokens=self.prompt_tokens,
            cached_tokens=self.cached_tokens,
            completion_tokens=self.completion_tokens,
        )


def choose_model(conversation: Conversation) -> Model:
    """The first wanted model that is sold. Raises InvalidParameters when none is."""
    wanted = conversation.wanted_models or [DEFAULT_MODEL_ID]
    for model_id in wanted:
        model = find_model(model_id)
        if model is not None:
            return model
    raise InvalidParameters(f"{wanted[0]} is not a valid model ID")


def complete(conversation: Conversation, *, model: Model) -> Completion:
    """Answer a conversation. Raises InvalidParameters when it does not fit the model."""
    prompt_tokens = conversation.prompt_tokens
    if prompt_tokens > model.context_length:
        raise InvalidParameters(
            f"This endpoint's maximum context length is {model.context_length} tokens. "
            f"However, you requested about {prompt_tokens} tokens."
        )
    whole = answer_to(conversation, model_name=model.name)
    most = min(conversation.most_completion_tokens or model.max_completion_tokens, model.max_completion_tokens)
    text = whole.encode()[: most * BYTES_PER_TOKEN].decode(errors="ignore")
    return Completion(
        model=model,
        text=text,
        finish_reason="stop" if text == whole else "length",
        prompt_tokens=prompt_tokens,
        cached_tokens=conversation.cached_tokens,
        completion_tokens=count_tokens(text),
    )


def check_funds(
    conversation: Conversation, *, model: Model, key: Key, account_nanos: int, spent_key_status: int
) -> None:
    """Raise PaymentRequired when the key or the account (nano-dollars left) cannot pay.

    Like the real one: anything left is enough for one more call, unless the caller's own bound on the answer could cost
    more than what is left.
    """
    if account_nanos <= 0:
        message = f"Insufficient credits. Add more using {CREDITS_PAGE}"
        raise PaymentRequired(message, limit_source="openrouter_credits")
    remaining = key.remaining_nanos
    if remaining is None:
        return
    if remaining <= 0:
        message = f"Key limit exceeded ({key.limit_reset or 'total'} limit). Manage it using {KEYS_PAGE}"
        raise PaymentRequired(message, limit_source="openrouter_key_limit", status=spent_key_status)
    _check_bound(conversation, model=model, remaining=remaining)


def _check_bound(conversation: Conversation, *, model: Model, remaining: int) -> None:
    most = conversation.most_completion_tokens
    if most is None or most * model.completion_nanos <= remaining:
        return
    message = (
        f"This request requires more credits, or fewer max_tokens. You requested up to {most} tokens, but can only "
        f"afford {remaining // model.completion_nanos}. To increase, visit {KEYS_PAGE} and raise the key's limit"
    )
    raise PaymentRequired(message, limit_source="openrouter_key_limit")
