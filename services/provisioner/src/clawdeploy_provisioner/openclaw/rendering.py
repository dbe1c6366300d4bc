"""From what was chosen and where it runs to the text of ``openclaw.json``."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from pydantic import JsonValue

from clawdeploy_provisioner.openclaw import document as doc
from clawdeploy_provisioner.openclaw.channels import Channel, with_token
from clawdeploy_provisioner.openclaw.config import AgentConfig

_NEEDED = ("admin-http-rpc", "openrouter")


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where an agent runs, as seen from inside; ``trusted_proxies`` are the addresses the platform calls from."""

    port: int
    bind: Literal["loopback", "lan"]
    trusted_proxies: tuple[str, ...]
    allow_loopback: bool
    workspace: PurePosixPath
    log_file: PurePosixPath


def render(config: AgentConfig, *, placement: Placement, variables: Collection[str]) -> dict[str, JsonValue]:
    """The content of the file; ``variables`` are the names of the environment variables the gateway will have.

    The person's overrides go in first, so that nothing of ours can be lost to them.
    """
    channels = with_token(config.channels, variables)
    whole = doc.OpenClawDocument(
        gateway=_gateway(config, placement),
        agents=_agents(config, placement),
        models=_models(config),
        channels=_channels(config, channels),
        plugins=_plugins(config, channels),
        logging=doc.Logging(file=str(placement.log_file)),
    )
    return _merged(config.overrides, whole.model_dump(by_alias=True, exclude_none=True, mode="json"))


def _gateway(config: AgentConfig, placement: Placement) -> doc.Gateway:
    proxy = doc.TrustedProxy(
        user_header=config.identity.header, allow_users=(config.identity.user,), allow_loopback=placement.allow_loopback
    )
    return doc.Gateway(
        port=placement.port,
        bind=placement.bind,
        auth=doc.Auth(trusted_proxy=proxy),
        trusted_proxies=placement.trusted_proxies,
        control_ui=doc.ControlUi(allowed_origins=config.allowed_origins or (f"http://127.0.0.1:{placement.port}",)),
    )


def _agents(config: AgentConfig, placement: Placement) -> doc.Agents:
    model = doc.PrimaryModel(primary=f"openrouter/{config.model}")
    return doc.Agents(defaults=doc.AgentDefaults(workspace=str(placement.workspace), model=model))


def _models(config: AgentConfig) -> doc.Models:
    options = tuple(doc.ModelOption(id=entry.id, name=entry.name) for entry in config.catalogue)
    provider = doc.ModelProvider(base_url=config.llm_base_url, models=options)
    return doc.Models(providers=doc.ModelProviders(openrouter=provider))


def _channels(config: AgentConfig, channels: tuple[Channel, ...]) -> doc.Channels | None:
    if not channels:
        return None
    policy, allowed = config.dm_policy, config.allow_from
    return doc.Channels(
        telegram=doc.Telegram(dm_policy=policy, allow_from=allowed) if Channel.TELEGRAM in channels else None,
        discord=doc.Discord(dm_policy=policy, allow_from=allowed) if Channel.DISCORD in channels else None,
        whatsapp=doc.Whatsapp(dm_policy=policy, allow_from=allowed) if Channel.WHATSAPP in channels else None,
    )


def _plugins(config: AgentConfig, channels: tuple[Channel, ...]) -> doc.Plugins:
    entries = {"admin-http-rpc": doc.Enabled()} | {str(name): doc.Enabled() for name in channels}
    if config.plugins == "full":
        return doc.Plugins(entries=entries)
    return doc.Plugins(allow=(*_NEEDED, *map(str, channels)), slots=doc.Slots(), entries=entries)


def _merged(base: dict[str, JsonValue], ours: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """``ours`` laid over ``base``, object by object."""
    result = dict(base)
    for key, value in ours.items():
        below = result.get(key)
        result[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result
