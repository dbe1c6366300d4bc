"""``openclaw.json`` as types: only what we use, and no way to leave out what OpenClaw's own check would miss.

``openclaw config validate`` accepts a file without ``gateway.mode`` and one whose trusted-proxy block is missing, and the gateway then
exits with 78 or 1; here those are literals and required fields.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

RESTART_SECTIONS = ("env", "gateway", "plugins")
"""Sections of the file of which OpenClaw does not take every change while it runs (2026.9.6, seen): with these it is restarted."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Enabled(_Section):
    """A switch."""

    enabled: bool = True


class DeviceAutoApprove(_Section):
    """Browsers of the one allowed user are enrolled without a second question."""

    enabled: Literal[True] = True
    scopes: tuple[str, ...] = (
        "operator.admin",
        "operator.read",
        "operator.write",
        "operator.approvals",
        "operator.questions",
        "operator.pairing",
    )


class TrustedProxy(_Section):
    """Whom the gateway believes."""

    user_header: str
    allow_users: tuple[str, ...]
    allow_loopback: bool
    device_auto_approve: DeviceAutoApprove = DeviceAutoApprove()


class Auth(_Section):
    """Only the platform's proxy may speak for the owner; there is no token that could leak."""

    mode: Literal["trusted-proxy"] = "trusted-proxy"
    trusted_proxy: TrustedProxy


class ControlUi(_Section):
    """The agent's own web page."""

    enabled: bool = True
    allowed_origins: tuple[str, ...]
    community_invite: Literal[False] = False


class Reload(_Section):
    """How a changed file takes effect."""

    mode: Literal["hybrid"] = "hybrid"


class Endpoints(_Section):
    """OpenAI-compatible endpoints."""

    chat_completions: Enabled = Enabled()


class Http(_Section):
    """The gateway's HTTP side."""

    endpoints: Endpoints = Endpoints()


class Gateway(_Section):
    """Where the gateway listens and whom it lets in."""

    mode: Literal["local"] = "local"
    port: int
    bind: Literal["loopback", "lan"]
    auth: Auth
    trusted_proxies: tuple[str, ...]
    terminal: Enabled = Enabled(enabled=False)
    control_ui: ControlUi
    reload: Reload = Reload()
    http: Http = Http()


class PrimaryModel(_Section):
    """The model an agent uses."""

    primary: str


class Heartbeat(_Section):
    """A heartbeat spends tokens by itself, so it is off."""

    every: Literal["0m"] = "0m"


class AgentDefaults(_Section):
    """What holds for every agent of the instance."""

    workspace: str
    model: PrimaryModel
    heartbeat: Heartbeat = Heartbeat()


class Agents(_Section):
    """The agents of the instance."""

    defaults: AgentDefaults


class ModelOption(_Section):
    """A model of a provider."""

    id: str
    name: str


class ModelProvider(_Section):
    """Where models are called; the key stays in the environment."""

    base_url: str
    api_key: Literal["${LLM_API_KEY}"] = "${LLM_API_KEY}"
    api: Literal["openai-completions"] = "openai-completions"
    models: tuple[ModelOption, ...]


class ModelProviders(_Section):
    """Every model goes through OpenRouter."""

    openrouter: ModelProvider


class Models(_Section):
    """The models the instance knows."""

    mode: Literal["merge"] = "merge"
    providers: ModelProviders


class Telegram(_Section):
    """Bundled with OpenClaw."""

    enabled: Literal[True] = True
    bot_token: Literal["${TELEGRAM_BOT_TOKEN}"] = "${TELEGRAM_BOT_TOKEN}"  # noqa: S105 - names a variable
    dm_policy: Literal["pairing", "allowlist", "disabled"]
    allow_from: tuple[str, ...]


class Discord(_Section):
    """Needs its plugin."""

    enabled: Literal[True] = True
    token: Literal["${DISCORD_BOT_TOKEN}"] = "${DISCORD_BOT_TOKEN}"  # noqa: S105 - names a variable
    dm_policy: Literal["pairing", "allowlist", "disabled"]
    allow_from: tuple[str, ...]


class Whatsapp(_Section):
    """Needs its plugin; linked by QR code."""

    enabled: Literal[True] = True
    dm_policy: Literal["pairing", "allowlist", "disabled"]
    allow_from: tuple[str, ...]


class Channels(_Section):
    """Only channels that have their token."""

    telegram: Telegram | None = None
    discord: Discord | None = None
    whatsapp: Whatsapp | None = None


class Slots(_Section):
    """Exclusive plugin roles."""

    memory: Literal["none"] = "none"


class Plugins(_Section):
    """Which plugins load; without ``allow`` all bundled ones do."""

    allow: tuple[str, ...] | None = None
    slots: Slots | None = None
    entries: dict[str, Enabled]


class Mdns(_Section):
    """Announcing on the local network."""

    mode: Literal["off"] = "off"


class Discovery(_Section):
    """How others find the gateway: not at all."""

    mdns: Mdns = Mdns()


class Update(_Section):
    """The platform decides the version."""

    check_on_start: Literal[False] = False
    auto: Enabled = Enabled(enabled=False)


class Logging(_Section):
    """The gateway's own JSON log; the default file would be shared by all instances of a machine."""

    file: str
    max_file_bytes: int = 5_000_000


class OpenClawDocument(_Section):
    """The whole file."""

    gateway: Gateway
    agents: Agents
    models: Models
    channels: Channels | None = None
    plugins: Plugins
    discovery: Discovery = Discovery()
    update: Update = Update()
    telemetry: Enabled = Enabled(enabled=False)
    logging: Logging
