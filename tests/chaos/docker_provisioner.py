"""The provisioner with the real `docker` provider, which dies where it is told: `python -m tests.chaos.docker_provisioner`.

LIGHT_DOCKER is the engine's address; the rest is as in `tests.light.program`. Moments are "before" and "after" the provider's verbs and
the parts they are made of, such as "after ensure_anchor": between two of them lies one change at the engine.
"""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from clawdeploy_common.http import AsyncClient
from clawdeploy_common.service import serve
from clawdeploy_provisioner.main import build
from clawdeploy_provisioner.providers.docker.cells import Cells
from clawdeploy_provisioner.providers.docker.lifecycle import Lifecycle
from clawdeploy_provisioner.providers.docker.provider import DockerProvider
from clawdeploy_provisioner.providers.docker.settings import DockerHost, DockerSettings
from clawdeploy_provisioner.settings import ProvisionerSettings
from tests.engines.docker_engine import LIGHT_IMAGE
from tests.light.program import Fate

WATCHED: list[tuple[type, str]] = [
    *(
        (DockerProvider, verb)
        for verb in ("ensure_server", "ensure_installed", "write_configuration", "start", "destroy")
    ),
    *((Cells, part) for part in ("ensure_anchor", "_create", "configure", "write")),
    (Lifecycle, "_remove_volume"),
]


def docker_settings(folder: Path, url: str) -> DockerSettings:
    """A platform whose home is below the test's folder."""
    host = DockerHost(name="local", url=url)
    return DockerSettings(
        hosts=(host,), home=folder / "docker", image=LIGHT_IMAGE, reservations_dir=folder / "reservations"
    )


def _watch(fate: Fate, owner: type, name: str) -> None:
    inner: Callable[..., Awaitable[Any]] = getattr(owner, name)

    async def watched(self: Any, *arguments: Any, **options: Any) -> Any:
        await fate(f"before {name}")
        result = await inner(self, *arguments, **options)
        await fate(f"after {name}")
        return result

    setattr(owner, name, watched)


def main() -> None:
    """Serve until told to stop, or until fate strikes."""
    folder = Path(os.environ["LIGHT_FOLDER"])
    fate = Fate(folder / "deaths", dict(os.environ))
    for owner, name in WATCHED:
        _watch(fate, owner, name)
    http = AsyncClient()
    provider = DockerProvider(docker_settings(folder, os.environ["LIGHT_DOCKER"]), http=http)
    settings = ProvisionerSettings()  # pyright: ignore[reportCallIssue] - read from the environment
    serve(*build(settings, http=http, providers={"docker": provider}))


if __name__ == "__main__":
    main()
