"""From a bundle to the files of a cell: plugins, rendering, OpenClaw's own check, putting in place."""

from collections.abc import Collection
from pathlib import PurePosixPath

from pydantic import JsonValue

from clawdeploy_provisioner.openclaw.channels import Channel, plugin_spec, with_token
from clawdeploy_provisioner.openclaw.checking import issues_of
from clawdeploy_provisioner.openclaw.install import silent
from clawdeploy_provisioner.openclaw.rendering import Placement, render
from clawdeploy_provisioner.providers.docker.anchor import Anchor
from clawdeploy_provisioner.providers.docker.cell import OWN_LOG, WORKSPACE
from clawdeploy_provisioner.providers.docker.cells import Cells
from clawdeploy_provisioner.providers.docker.images import Images
from clawdeploy_provisioner.providers.docker.plugins import install_plugin
from clawdeploy_provisioner.providers.docker.profiles import OPENCLAW
from clawdeploy_provisioner.providers.docker.record import CellRecord
from clawdeploy_provisioner.providers.docker.relay import as_seen_from, loopback_port
from clawdeploy_provisioner.providers.docker.settings import DockerSettings
from clawdeploy_provisioner.providers.docker.sight import Sight
from clawdeploy_provisioner.providers.docker.tasks import CellChecker
from clawdeploy_provisioner.providers.process.lifecycle import heap_flags
from clawdeploy_provisioner.providers.protocol import Bundle, ConfigurationRejected, Progress

_VERDICTS = "verdicts"


class Configuring:
    """Configurations of cells; the caller holds the server's lock."""

    def __init__(self, settings: DockerSettings, cells: Cells, images: Images) -> None:
        self._settings = settings
        self._cells = cells
        self._images = images

    async def checked(self, sight: Sight, bundle: Bundle) -> tuple[Sight, dict[str, JsonValue] | None]:
        """The cell with its plugins, and a document that OpenClaw accepts (None for an image without it)."""
        variables, anchor = bundle.environment.keys(), sight.require_anchor()
        if sight.container is not None and not sight.container.profile.is_openclaw:
            return sight, None
        sight = await self.ensure_plugins(sight, with_token(bundle.config.channels, variables), silent)
        document = _rendered(sight, bundle)
        image = (await self._images.find(sight.engine) or {}).get("Id", self._settings.image)
        checker = CellChecker(sight.engine, anchor, image=self._settings.image)
        verdicts = self._settings.home / _VERDICTS
        if issues := await issues_of(document, checker=checker, verdicts=verdicts, program=str(image)):
            raise ConfigurationRejected(issues)
        return sight, document

    async def write(self, sight: Sight, bundle: Bundle) -> None:
        """Put a configuration in place that OpenClaw accepts, and remember whose it is.

        Raises:
            ConfigurationRejected: nothing was written.
        """
        sight, document = await self.checked(sight, bundle)
        channels = with_token(bundle.config.channels, bundle.environment.keys())
        if document is not None:
            await self._cells.configure(sight, document, _variables(sight.require_anchor(), bundle, channels))
        await self._cells.write(sight, _configured(sight.kept.record, bundle))

    async def ensure_plugins(self, sight: Sight, channels: Collection[Channel], progress: Progress) -> Sight:
        """Install the plugins that are missing and remember them; they live in the state volume."""
        if sight.container is not None and sight.container.profile is not OPENCLAW:
            return sight
        missing = [c for c in channels if plugin_spec(c) is not None and c not in sight.kept.record.plugins]
        for channel in missing:
            await install_plugin(sight, channel, image=self._settings.image, progress=progress)
            record = sight.kept.record
            sight = await self._cells.write(sight, record.model_copy(update={"plugins": [*record.plugins, channel]}))
        return sight


def _rendered(sight: Sight, bundle: Bundle) -> dict[str, JsonValue]:
    """The document for this cell: who may speak to it comes through its network's gateway, or from our own address."""
    ours, gateway = sight.engine.host.our_address(), sight.require_anchor().gateway
    url = as_seen_from(gateway, bundle.config.llm_base_url)
    config = bundle.config.model_copy(update={"llm_base_url": url})
    placement = Placement(
        port=OPENCLAW.port,
        bind="lan",
        trusted_proxies=(gateway,) if ours is None else (gateway, ours),
        allow_loopback=False,
        workspace=PurePosixPath(WORKSPACE),
        log_file=PurePosixPath(OWN_LOG),
    )
    return render(config, placement=placement, variables=bundle.environment.keys())


def _variables(anchor: Anchor, bundle: Bundle, channels: Collection[Channel]) -> dict[str, str]:
    roomy = bundle.config.plugins == "full" or any(plugin_spec(channel) for channel in channels)
    flags = {"NODE_OPTIONS": " ".join(heap_flags(anchor.memory_mb, roomy=roomy))}
    skipped = {} if channels else {"OPENCLAW_SKIP_CHANNELS": "1"}
    return dict(bundle.environment) | flags | skipped


def _configured(record: CellRecord, bundle: Bundle) -> CellRecord:
    return record.model_copy(
        update={
            "version": bundle.version,
            "identity": bundle.config.identity,
            "secrets": dict(bundle.environment),
            "relayed_port": loopback_port(bundle.config.llm_base_url),
        }
    )
