"""The image cells are made from: whether it is there, and fetching it."""

import asyncio
import time
from collections.abc import Collection
from typing import Any

import structlog

from clawdeploy_common.errors import PermanentError
from clawdeploy_provisioner.openclaw.install import silent
from clawdeploy_provisioner.providers.docker.engine import Engine, EngineAway, Json, Missing
from clawdeploy_provisioner.providers.docker.profiles import Profile, profile_of
from clawdeploy_provisioner.providers.protocol import InstallationFailed, Progress, ProviderError, ProviderUnavailable

log = structlog.get_logger()

_WAYS_ON = "set OPENCLAW_IMAGE to one that is there, or make one with `make openclaw-image`"
_REPORT_EVERY = 2.0
_FETCH_AGAIN_S = 120.0


class ImageNotFound(ProviderError, PermanentError):
    """The registry has no such image, or does not give it to us."""

    code = "docker-image-not-found"
    title = "The image cannot be found"


class Images:
    """One image on any engine; one pull per engine at a time, whoever asks."""

    def __init__(self, image: str) -> None:
        self.image = image
        self._pulls: dict[str, asyncio.Lock] = {}

    async def find(self, engine: Engine) -> Json | None:
        """The image as the engine describes it, None when it is not there."""
        return await engine.find(lambda api: api.inspect_image(self.image))

    async def profile(self, engine: Engine) -> Profile:
        """What kind of program it holds; raises InstallationFailed when it is not there."""
        found = await self.find(engine)
        if found is None:
            raise InstallationFailed(f"image {self.image} is not on Docker engine {engine.name}", retry_after=5)
        return profile_of(self.image, found["Config"].get("Labels") or {})

    async def ensure(self, engine: Engine, *, progress: Progress = silent) -> None:
        """Fetch the image unless it is there.

        Raises:
            ImageNotFound: the registry has none.
            InstallationFailed: the registry cannot be reached, or the transfer broke off.
        """
        if await self.find(engine) is not None:
            return
        async with self._pulls.setdefault(engine.name, asyncio.Lock()):
            if await self.find(engine) is None:
                await self._pull(engine, progress)

    async def keep(self, engines: Collection[Engine]) -> None:
        """Fetch it to every engine that answers and lacks it, until cancelled; what fails is tried again minutes later."""
        while True:
            for engine in engines:
                try:
                    await self.ensure(engine)
                except EngineAway:
                    continue
                except ProviderError as error:
                    log.info("image.not_fetched", engine=engine.name, error=str(error))
            await asyncio.sleep(_FETCH_AGAIN_S)

    async def _pull(self, engine: Engine, progress: Progress) -> None:
        await progress(f"Fetching image {self.image}")
        loop, told = asyncio.get_running_loop(), Transfer(self.image)

        def tell(sentence: str) -> None:
            asyncio.run_coroutine_threadsafe(_tell(progress, sentence), loop)

        def pull(api: Any) -> None:
            for line in api.pull(*_split(self.image), stream=True, decode=True):
                if (sentence := told.take(line)) is not None:
                    tell(sentence)

        try:
            await engine.ask(pull)
        except Missing as error:
            raise ImageNotFound(f"image {self.image} cannot be fetched ({error}): {_WAYS_ON}") from error
        except EngineAway:
            raise
        except ProviderUnavailable as error:
            raise InstallationFailed(f"image {self.image} could not be fetched: {error}", retry_after=15) from error
        if told.error is not None:
            raise InstallationFailed(f"image {self.image} could not be fetched: {told.error}", retry_after=15)
        log.info("image.pulled", image=self.image, engine=engine.name)
        await progress(f"Image {self.image} is there")


class Transfer:
    """Follows the lines of a pull; ``take`` gives a sentence every two seconds."""

    def __init__(self, image: str) -> None:
        self.error: str | None = None
        self._image = image
        self._layers: dict[str, tuple[int, int]] = {}
        self._told_at = time.monotonic()

    def take(self, line: Json) -> str | None:
        """One line of the engine's answer."""
        self.error = line.get("error", self.error)
        detail: dict[str, int] | None = line.get("progressDetail")
        if line.get("status") == "Downloading" and detail and detail.get("total"):
            self._layers[line["id"]] = (detail["current"], detail["total"])
        if not self._layers or time.monotonic() - self._told_at < _REPORT_EVERY:
            return None
        self._told_at = time.monotonic()
        done, whole = (sum(layer[part] for layer in self._layers.values()) // 1_000_000 for part in (0, 1))
        return f"Fetching image {self._image}: {done} of {whole} MB"


async def _tell(progress: Progress, sentence: str) -> None:
    """What was done meanwhile may have ended; that nobody listens any more is no failure of the transfer."""
    try:
        await progress(sentence)
    except Exception as error:  # noqa: BLE001 - see above
        log.debug("image.progress_untold", error=type(error).__name__)


def _split(image: str) -> tuple[str, str | None]:
    """(repository, tag); without a tag it is ``latest``, and with a digest the whole is the repository."""
    if "@" in image:
        return image, None
    repository, separator, tag = image.rpartition(":")
    return (repository, tag) if separator and "/" not in tag else (image, "latest")
