"""Containers that run one command of OpenClaw and end: the check of a configuration, the installation of a plugin."""

import time
from collections.abc import Sequence
from typing import Any

import structlog

from clawdeploy_provisioner.openclaw.checking import PATIENCE
from clawdeploy_provisioner.openclaw.commands import CommandTimedOut, Finished
from clawdeploy_provisioner.providers.docker.anchor import ROLE, TASK_ROLE, Anchor
from clawdeploy_provisioner.providers.docker.cell import AGENT_UID, STATE, task_of
from clawdeploy_provisioner.providers.docker.engine import Engine, Json, archive_of, folders_of

log = structlog.get_logger()

_ABANDONED_AFTER_S = 900.0
_PATCH = "patch.json"
_LOOK_AGAIN_S = 0.1


async def run_task(engine: Engine, config: Json, *, files: dict[str, bytes], patience: float) -> Finished:
    """Create the container, put ``files`` into its state folder, run it to its end, remove it.

    Raises:
        CommandTimedOut: it took longer than ``patience`` seconds.
    """

    def run(api: Any) -> Finished:
        container = api.create_container_from_config(config)["Id"]
        try:
            if files:
                api.put_archive(container, str(STATE.parent), folders_of([STATE.name], owner=AGENT_UID))
                api.put_archive(container, str(STATE), archive_of(files, owner=AGENT_UID))
            api.start(container)
            return _finished(api, container, patience=patience)
        finally:
            api.remove_container(container, force=True, v=True)

    return await engine.ask(run)


def _finished(api: Any, container: str, *, patience: float) -> Finished:
    deadline = time.monotonic() + patience
    while (state := api.inspect_container(container)["State"])["Running"]:
        if time.monotonic() > deadline:
            raise CommandTimedOut(f"a command of OpenClaw took longer than {patience:.0f} s")
        time.sleep(_LOOK_AGAIN_S)
    return Finished(
        exit_code=int(state["ExitCode"]),
        stdout=api.logs(container, stdout=True, stderr=False),
        stderr=api.logs(container, stdout=False, stderr=True),
    )


class CellChecker:
    """Asks the OpenClaw inside the image that the cell is made from, without a network."""

    def __init__(self, engine: Engine, anchor: Anchor, *, image: str) -> None:
        self._engine = engine
        self._anchor = anchor
        self._image = image

    async def __call__(self, document: bytes, command: Sequence[str], *, patch: bytes | None) -> Finished:
        """Run it as the agent's own user."""
        files, named = {"openclaw.json": document}, list[str]()
        if patch is not None:
            files, named = {**files, _PATCH: patch}, [str(STATE / _PATCH)]
        config = task_of(self._anchor, [*command, *named], image=self._image, network="none", with_state=False)
        return await run_task(self._engine, config, files=files, patience=PATIENCE)


async def remove_abandoned(engine: Engine, mine: Json) -> None:
    """Remove tasks whose provisioner was killed."""
    filters = {"label": [*mine["label"], f"{ROLE}={TASK_ROLE}"]}
    for listed in await engine.ask(lambda api: api.containers(all=True, filters=filters)):
        if time.time() - float(listed["Created"]) > _ABANDONED_AFTER_S:
            log.warning("task.abandoned", container=listed["Id"][:12])
            await engine.find(lambda api, container=listed["Id"]: api.remove_container(container, force=True, v=True))
