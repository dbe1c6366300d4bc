"""Making a cell and keeping its files: network, container, configuration, record; the caller holds the server's lock."""

import json
import secrets
from dataclasses import replace
from ipaddress import ip_interface, ip_network
from typing import Any

import structlog
from pydantic import JsonValue

from clawdeploy_common.errors import PermanentError
from clawdeploy_provisioner.providers.docker.anchor import PLATFORM, SERVER, Anchor, Network
from clawdeploy_provisioner.providers.docker.cell import AGENT_UID, HOME, STATE, WORKSPACE, container_of
from clawdeploy_provisioner.providers.docker.engine import Engine, Json, Missing, NameTaken, archive_of, folders_of
from clawdeploy_provisioner.providers.docker.images import Images
from clawdeploy_provisioner.providers.docker.record import (
    ENVIRONMENT,
    FOLDER,
    READY,
    RECORD,
    CellRecord,
    env_file,
    mark_of,
    record_file,
)
from clawdeploy_provisioner.providers.docker.sight import Container, Sight, Sights, labels_of
from clawdeploy_provisioner.providers.protocol import ProviderError, ProviderUnavailable

log = structlog.get_logger()

_CONFIG = "openclaw.json"


class NameInTheWay(ProviderError, PermanentError):
    """A container that is none of ours has the name a cell must have."""

    code = "docker-name-in-the-way"
    title = "Another container has the agent's name"

    def __init__(self, name: str) -> None:
        super().__init__(f"a container named {name} is not the platform's: remove or rename it, then start the agent")


class Cells:
    """What is done to one server's things on its engine."""

    def __init__(self, images: Images, sights: Sights) -> None:
        self._images = images
        self._sights = sights

    async def ensure_anchor(self, engine: Engine, anchor: Anchor) -> None:
        """Make the network, then the volumes, whose labels tell it; the engine answers with what is there when two ask at once."""
        found = await self._ensure_network(engine, anchor)
        labels = replace(anchor, network=found).labels()
        for name in (anchor.state, anchor.secrets):
            await engine.ask(lambda api, name=name: api.create_volume(name, labels=labels))

    async def _ensure_network(self, engine: Engine, anchor: Anchor) -> Network:
        """The cell's own bridge, just as it was when it was lost."""
        known, labels = anchor.network, anchor.labels()
        ipam = {"Config": [{"Subnet": known.subnet, "Gateway": known.gateway}]} if known else None
        found = await engine.find(lambda api: api.inspect_network(anchor.bridge))
        if found is None:
            await engine.ask(
                lambda api: api.create_network(
                    anchor.bridge, driver="bridge", check_duplicate=True, ipam=ipam, labels=labels
                )
            )
            found = await engine.ask(lambda api: api.inspect_network(anchor.bridge))
            log.info("network.created", network=anchor.bridge, engine=engine.name)
        return _network(found)

    async def ensure(self, sight: Sight, *, port: int | None = None) -> Sight:
        """The cell with its container, which may never have been started.

        Raises:
            NameInTheWay, ProviderUnavailable, InstallationFailed, ServerNotFound.
        """
        anchor, engine = sight.require_anchor(), sight.engine
        await self.ensure_anchor(engine, anchor)
        if sight.container is not None:
            return sight
        await self._images.ensure(engine)
        profile = await self._images.profile(engine)
        config = container_of(
            anchor,
            profile,
            image=self._images.image,
            port=port or anchor.port,
            publish=engine.host.address(),
            cpus=await engine.ask(lambda api: int(api.info()["NCPU"])),
        )
        await self._create(engine, anchor, config)
        if profile.is_openclaw:
            folders = [str(path.relative_to(HOME)) for path in (STATE, WORKSPACE, STATE / "cache")]
            await engine.put(anchor.container, str(HOME), folders_of(folders, owner=AGENT_UID))
        log.info("container.created", container=anchor.container, engine=engine.name, port=port or anchor.port)
        return await self._sights.look(engine, sight.server_id, fresh=True)

    async def move(self, sight: Sight, *, port: int) -> Sight:
        """The same cell on another host port: ports belong to a container for its whole life, so it is made again."""
        await self.remove_container(sight)
        return await self.ensure(replace(sight, containers=()), port=port)

    async def remove_container(self, sight: Sight) -> None:
        """Remove every container of the server; its volumes stay."""
        for container in sight.containers:
            await sight.engine.find(lambda api, each=container.id: api.remove_container(each, force=True, v=True))
            self._sights.forget(container.id)

    async def write(self, sight: Sight, record: CellRecord) -> Sight:
        """Replace the record."""
        container = _existing(sight)
        await sight.engine.put(container.id, FOLDER, archive_of({RECORD: record_file(record)}, owner=0))
        self._sights.forget(container.id)
        return replace(sight, kept=replace(sight.kept, record=record))

    async def mark_ready(self, sight: Sight) -> Sight:
        """Remember that this run is ready."""
        container = _existing(sight)
        mark = mark_of(sight.kept.record, container.run)
        await sight.engine.put(container.id, FOLDER, archive_of({READY: mark.encode()}, owner=0))
        self._sights.forget(container.id)
        return replace(sight, kept=replace(sight.kept, mark=mark))

    async def configure(self, sight: Sight, document: dict[str, JsonValue], variables: dict[str, str]) -> None:
        """Put the secrets in place, then the configuration that names them; a running gateway sees it change at once and whole."""
        container, engine = _existing(sight), sight.engine
        secret_files = archive_of({ENVIRONMENT: env_file(variables)}, owner=AGENT_UID, mode=0o400)
        await engine.put(container.id, FOLDER, secret_files)
        name = f".{_CONFIG}.{secrets.token_hex(6)}" if container.is_up else _CONFIG
        text = json.dumps(document, indent=1).encode()
        await engine.put(container.id, str(STATE), archive_of({name: text}, owner=AGENT_UID))
        if container.is_up:
            await engine.ask(lambda api: _rename(api, container.id, str(STATE / name), str(STATE / _CONFIG)))

    async def _create(self, engine: Engine, anchor: Anchor, config: Json) -> None:
        try:
            await engine.ask(lambda api: api.create_container_from_config(config, name=anchor.container))
        except NameTaken:
            await self._judge_name(engine, anchor)

    async def _judge_name(self, engine: Engine, anchor: Anchor) -> None:
        """Who has the name? Another try of this very server is welcome."""
        found = await engine.find(lambda api: api.inspect_container(anchor.container))
        labels = labels_of(None if found is None else found["Config"])
        if labels.get(SERVER) == str(anchor.server_id):
            return
        if found is None or labels.get(PLATFORM) == anchor.platform:
            raise ProviderUnavailable("an earlier server of this agent is still being removed", retry_after=5)
        raise NameInTheWay(anchor.container)


def _existing(sight: Sight) -> Container:
    container = sight.container
    if container is None:
        raise Missing(f"server {sight.server_id} has no container")
    return container


def _network(raw: Json) -> Network:
    config: Any = raw["IPAM"]["Config"][0]
    gateway = config.get("Gateway") or str(next(ip_network(config["Subnet"]).hosts()))
    return Network(subnet=config["Subnet"], gateway=str(ip_interface(gateway).ip))


def _rename(api: Any, container: str, source: str, target: str) -> None:
    user = f"{AGENT_UID}:{AGENT_UID}"
    identity = api.exec_create(container, ["mv", "-f", source, target], user=user)["Id"]
    api.exec_start(identity)
    if api.exec_inspect(identity)["ExitCode"] != 0:
        raise ProviderUnavailable("the configuration could not be put in place", retry_after=2)
