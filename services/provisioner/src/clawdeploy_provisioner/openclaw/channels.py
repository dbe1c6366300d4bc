"""The channels an agent can speak through, as OpenClaw 2026.9.6 really supports them."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from clawdeploy_provisioner.openclaw.version import OPENCLAW_VERSION


class Channel(StrEnum):
    """A channel of the catalogue."""

    TELEGRAM = "telegram"
    DISCORD = "discord"
    WHATSAPP = "whatsapp"


@dataclass(frozen=True, kw_only=True)
class ChannelFacts:
    """What a channel needs before it can be configured.

    ``variable`` holds its bot token. WhatsApp has none: the variable's presence switches the channel on, and the account is
    linked by QR code afterwards. ``package`` is the plugin's npm package, None when OpenClaw bundles it.
    """

    variable: str
    package: str | None


CHANNELS: dict[Channel, ChannelFacts] = {
    Channel.TELEGRAM: ChannelFacts(variable="TELEGRAM_BOT_TOKEN", package=None),
    Channel.DISCORD: ChannelFacts(variable="DISCORD_BOT_TOKEN", package="@openclaw/discord"),
    Channel.WHATSAPP: ChannelFacts(variable="WHATSAPP_BOT_TOKEN", package="@openclaw/whatsapp"),
}


def with_token(channels: Iterable[Channel], variables: Collection[str]) -> tuple[Channel, ...]:
    """Those whose variable is given, in the catalogue's order; the others stay out of the configuration."""
    wanted = set(channels)
    return tuple(name for name, facts in CHANNELS.items() if name in wanted and facts.variable in variables)


def plugin_spec(channel: Channel) -> str | None:
    """What ``openclaw plugins install`` takes, or None when nothing has to be installed."""
    package = CHANNELS[channel].package
    return None if package is None else f"npm:{package}@{OPENCLAW_VERSION}"
