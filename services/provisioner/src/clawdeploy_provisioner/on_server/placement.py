"""Where OpenClaw is on a server of its own: the same on every cloud."""

from pathlib import PurePosixPath

from clawdeploy_provisioner.on_server.messages import AgentConfigurationContent
from clawdeploy_provisioner.openclaw.channels import plugin_spec, with_token
from clawdeploy_provisioner.openclaw.rendering import Placement, render
from clawdeploy_provisioner.providers.protocol import Bundle

HOME = PurePosixPath("/var/lib/openclaw")
STATE = HOME / ".openclaw"
GATEWAY_PORT = 18789
_LOOPBACK = "127.0.0.1"

PLACEMENT = Placement(
    port=GATEWAY_PORT,
    bind="loopback",
    trusted_proxies=(_LOOPBACK,),
    allow_loopback=True,
    workspace=STATE / "workspace",
    log_file=STATE / "logs" / "openclaw.log",
)


def content_of(bundle: Bundle) -> AgentConfigurationContent:
    """What the server's agent is given of a bundle: the whole document, the variables, the plugins."""
    variables = bundle.environment.keys()
    specs = (plugin_spec(channel) for channel in with_token(bundle.config.channels, variables))
    return AgentConfigurationContent(
        version=bundle.version,
        document=render(bundle.config, placement=PLACEMENT, variables=variables),
        environment=dict(bundle.environment),
        plugins=[spec for spec in specs if spec is not None],
    )
