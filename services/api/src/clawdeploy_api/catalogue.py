"""What can be chosen: models, channels, providers and plans; pure facts."""

from dataclasses import dataclass

from clawdeploy_common.errors import InvalidInput


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model; ``openrouter_id`` and prices (micro-USD per million tokens) are as listed by OpenRouter."""

    id: str
    name: str
    openrouter_id: str
    aliases: tuple[str, ...] = ()
    prompt_micros: int
    completion_micros: int


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A channel people talk to their agent through."""

    id: str
    name: str
    token: str


@dataclass(frozen=True, kw_only=True)
class Provider:
    """A place where agents run."""

    id: str
    name: str
    regions: tuple[str, ...]
    emulated: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a plan gives: instances of an account, size of an instance, spending limit of its LLM key (micro-USD)."""

    id: str
    name: str
    max_instances: int
    memory_mb: int
    cpu_millis: int
    llm_limit_micros: int
    aliases: tuple[str, ...] = ()


MODELS = (
    Model(
        id="gpt-5.2",
        name="GPT-5.2",
        openrouter_id="openai/gpt-5.2",
        aliases=("gpt-5",),
        prompt_micros=1_750_000,
        completion_micros=14_000_000,
    ),
    Model(
        id="claude-opus-4.5",
        name="Claude Opus 4.5",
        openrouter_id="anthropic/claude-opus-4.5",
        aliases=("claude-opus",),
        prompt_micros=5_000_000,
        completion_micros=25_000_000,
    ),
    Model(
        id="gemini-3-flash",
        name="Gemini 3 Flash",
        openrouter_id="google/gemini-3-flash-preview",
        aliases=("gemini",),
        prompt_micros=500_000,
        completion_micros=3_000_000,
    ),
    Model(
        id="claude-sonnet-4.5",
        name="Claude Sonnet 4.5",
        openrouter_id="anthropic/claude-sonnet-4.5",
        aliases=("claude-sonnet",),
        prompt_micros=3_000_000,
        completion_micros=15_000_000,
    ),
    Model(
        id="claude-haiku-4.5",
        name="Claude Haiku 4.5",
        openrouter_id="anthropic/claude-haiku-4.5",
        aliases=("claude-haiku",),
        prompt_micros=1_000_000,
        completion_micros=5_000_000,
    ),
    Model(
        id="gpt-5-mini",
        name="GPT-5 Mini",
        openrouter_id="openai/gpt-5-mini",
        prompt_micros=250_000,
        completion_micros=2_000_000,
    ),
)
CHANNELS = (
    Channel(id="telegram", name="Telegram", token="a bot token of BotFather"),  # noqa: S106 - a description
    Channel(id="discord", name="Discord", token="a bot token of the Developer Portal"),  # noqa: S106 - a description
    Channel(id="whatsapp", name="WhatsApp", token="any value; the account is linked by QR code"),  # noqa: S106 - a description
)
PROVIDERS = (
    Provider(id="docker", name="Docker", regions=("local",)),
    Provider(id="process", name="This machine", regions=("local",)),
    Provider(id="hetzner", name="Hetzner Cloud", regions=("nbg1", "fsn1", "hel1", "ash", "hil", "sin")),
    Provider(
        id="digitalocean",
        name="DigitalOcean",
        regions=(
            "nyc3",
            "nyc1",
            "nyc2",
            "sfo3",
            "sfo2",
            "tor1",
            "atl1",
            "ams3",
            "fra1",
            "lon1",
            "blr1",
            "sgp1",
            "syd1",
        ),
    ),
    Provider(id="ovh", name="OVHcloud", regions=("GRA", "SBG", "DE", "UK", "WAW", "BHS")),
    Provider(id="own", name="Own servers", regions=()),
)
CLOUDS = {
    "hetzner": "HETZNER_API_TOKEN",
    "digitalocean": "DIGITALOCEAN_API_TOKEN",
    "ovh": "OVH_APPLICATION_KEY, OVH_APPLICATION_SECRET and OVH_CONSUMER_KEY",
}
"""Providers whose servers are rented in an account of the operator's, with the settings that connect it."""
PLANS = (
    Plan(id="free", name="Free", max_instances=0, memory_mb=2048, cpu_millis=1000, llm_limit_micros=1_000_000),
    Plan(
        id="basic",
        name="Basic",
        max_instances=2,
        memory_mb=2048,
        cpu_millis=1000,
        llm_limit_micros=5_000_000,
        aliases=("starter",),
    ),
    Plan(id="pro", name="Pro", max_instances=4, memory_mb=4096, cpu_millis=2000, llm_limit_micros=20_000_000),
    Plan(
        id="enterprise",
        name="Enterprise",
        max_instances=0,
        memory_mb=8192,
        cpu_millis=4000,
        llm_limit_micros=100_000_000,
    ),
)
"""In ascending order; OpenClaw needs 2 GB. Enterprise gives what its contract says: an override per account."""

_MODELS = {name: m for m in MODELS for name in (m.id, m.openrouter_id, *m.aliases)}
_CHANNELS = {channel.id: channel for channel in CHANNELS}
_PLANS = {name: plan for plan in PLANS for name in (plan.id, *plan.aliases)}
_RANK = {plan.id: rank for rank, plan in enumerate(PLANS)}


def find_model(name: str) -> Model:
    """By id, alias or OpenRouter's id; raises InvalidInput."""
    found = _MODELS.get(name)
    if found is None:
        raise InvalidInput("model", "is not a model of the catalogue", allowed=[model.id for model in MODELS])
    return found


def find_channel(name: str) -> Channel:
    """By id; raises InvalidInput."""
    found = _CHANNELS.get(name)
    if found is None:
        raise InvalidInput("channel", "is not a channel of the catalogue", allowed=list(_CHANNELS))
    return found


def find_region(provider: Provider, name: str | None) -> str:
    """A region of the provider, its first one when none is named; raises InvalidInput."""
    if name is None:
        return provider.regions[0]
    if name not in provider.regions:
        raise InvalidInput("region", f"is not a region of {provider.id}", allowed=list(provider.regions))
    return name


def find_plan(name: str) -> Plan:
    """By id or alias; raises InvalidInput."""
    found = _PLANS.get(name)
    if found is None:
        raise InvalidInput("plan", "is not a plan of the catalogue", allowed=[plan.id for plan in PLANS])
    return found


def includes(account_plan: str, instance_plan: str) -> bool:
    """Whether an account of one plan may have instances of the other."""
    return _RANK[instance_plan] <= _RANK[account_plan]
