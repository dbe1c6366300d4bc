"""The catalogue as people see it; money in micro-units of the named currency."""

from pydantic import BaseModel, ConfigDict


class ModelItem(BaseModel):
    """A model; prices are what the LLM provider asks, per million tokens."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "gpt-5.2",
                    "name": "GPT-5.2",
                    "aliases": ["gpt-5"],
                    "openrouter_id": "openai/gpt-5.2",
                    "currency": "USD",
                    "prompt_micros_per_million_tokens": 1750000,
                    "completion_micros_per_million_tokens": 14000000,
                    "charge_percent": 110,
                }
            ]
        }
    )

    id: str
    name: str
    aliases: list[str]
    openrouter_id: str
    currency: str
    prompt_micros_per_million_tokens: int
    completion_micros_per_million_tokens: int
    charge_percent: int | None


class ChannelItem(BaseModel):
    """A channel, and what its token is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"id": "telegram", "name": "Telegram", "bot_token": "a bot token of BotFather"}]
        }
    )

    id: str
    name: str
    bot_token: str


class ProviderItem(BaseModel):
    """A place where agents run, switched on here."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"id": "process", "name": "This machine", "regions": ["local"], "emulated": False}]
        }
    )

    id: str
    name: str
    regions: list[str]
    emulated: bool


class PlanPrice(BaseModel):
    """What an instance of a plan is charged at a provider."""

    provider: str
    currency: str
    charge_micros_per_hour: int
    price_version: int


class PlanItem(BaseModel):
    """A plan: how many instances an account has, and how large they are; `prices` is empty until a price book is published."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "basic",
                    "name": "Basic",
                    "aliases": ["starter"],
                    "max_instances": 2,
                    "memory_mb": 2048,
                    "cpu_millis": 1000,
                    "prices": [
                        {"provider": "process", "currency": "USD", "charge_micros_per_hour": 7000, "price_version": 1}
                    ],
                }
            ]
        }
    )

    id: str
    name: str
    aliases: list[str]
    max_instances: int
    memory_mb: int
    cpu_millis: int
    prices: list[PlanPrice]
