"""The body of a chat completion, and what can be read from it."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from clawdeploy_emulators.openrouter.spoken import spoken

BYTES_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4
CACHE_BLOCK_TOKENS = 128
CACHE_MINIMUM_TOKENS = 1024


def count_tokens(text: str) -> int:
    """Tokens of a text: one for every four bytes, rounded up."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


class Part(BaseModel):
    """A part of a message; only text parts carry words."""

    model_config = ConfigDict(extra="allow")

    type: StrictStr
    text: StrictStr | None = None


class Message(BaseModel):
    """One message. The `developer` role counts as `system`, as it does for the models behind the real thing."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: StrictStr | list[Part] | None = None
    tool_calls: list[dict[str, Any]] | None = None

    @property
    def text(self) -> str:
        """The words of the message."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.text)
        return self.content or ""

    @property
    def tokens(self) -> int:
        """Size of the message, its calls of tools included."""
        calls = count_tokens(json.dumps(self.tool_calls)) if self.tool_calls else 0
        return TOKENS_PER_MESSAGE + count_tokens(self.text) + calls


class Conversation(BaseModel):
    """A request for a completion; fields the stand-in does not act on are accepted and ignored."""

    model_config = ConfigDict(extra="ignore")

    messages: Annotated[list[Message], Field(min_length=1)]
    model: StrictStr | None = None
    models: list[StrictStr] | None = None
    stream: StrictBool | None = None
    max_tokens: Annotated[StrictInt, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[StrictInt, Field(ge=1)] | None = None
    tools: list[dict[str, Any]] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    user: StrictStr | None = None

    @property
    def wanted_models(self) -> list[str]:
        """The identifiers to try, in order."""
        return [*([self.model] if self.model else []), *(self.models or [])]

    @property
    def most_completion_tokens(self) -> int | None:
        """The caller's bound on the answer."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def user_texts(self) -> list[str]:
        """What the person said, in order, without what an agent wraps around it."""
        said = (spoken(message.text) for message in self.messages if message.role == "user")
        return [text for text in said if text]

    @property
    def tool_count(self) -> int:
        """How many tools were offered."""
        return len(self.tools or [])

    @property
    def prompt_tokens(self) -> int:
        """Size of everything sent: messages and tools."""
        return sum(message.tokens for message in self.messages) + self._tool_tokens

    @property
    def cached_tokens(self) -> int:
        """The part of the prompt a provider's cache would have had.

        Once the model has answered, the standing part (tools and system messages) was sent before; providers cache it
        in blocks of 128 tokens, from 1,024 on (OpenAI's guide on prompt caching).
        """
        if not any(message.role == "assistant" for message in self.messages):
            return 0
        standing = [message for message in self.messages if message.role in {"system", "developer"}]
        size = sum(message.tokens for message in standing) + self._tool_tokens
        return 0 if size < CACHE_MINIMUM_TOKENS else size - size % CACHE_BLOCK_TOKENS

    @property
    def _tool_tokens(self) -> int:
        return count_tokens(json.dumps(self.tools)) if self.tools else 0
