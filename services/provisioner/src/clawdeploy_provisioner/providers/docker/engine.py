"""One Docker engine, spoken to through the SDK in threads; what it refuses becomes errors of ours."""

import asyncio
import io
import tarfile
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, TypeVar

import structlog

from clawdeploy_common.errors import PermanentError, TemporaryError
from clawdeploy_provisioner.providers.docker.settings import DockerHost
from clawdeploy_provisioner.providers.protocol import ProviderError, ProviderUnavailable

log = structlog.get_logger()

Json = dict[str, Any]
T = TypeVar("T")
_CALL_SECONDS = 90
_POOL = 32


class EngineAway(ProviderUnavailable):
    """The engine does not answer."""

    code = "docker-engine-away"


class Missing(ProviderError, PermanentError):
    """The engine has no such thing."""

    code = "docker-missing"


class NameTaken(ProviderError, TemporaryError):
    """Something of that name, or in that state, is there already."""

    code = "docker-conflict"


class PortTaken(ProviderError, TemporaryError):
    """Something else listens on the host port."""

    code = "docker-port-taken"


class DiskFull(ProviderUnavailable):
    """The engine's disk is full."""

    code = "docker-disk-full"


class EngineRefused(ProviderError, PermanentError):
    """The engine says that the request makes no sense."""

    code = "docker-refused"
    title = "The Docker engine refused this"


_KINDS = {HTTPStatus.NOT_FOUND: Missing, HTTPStatus.CONFLICT: NameTaken, HTTPStatus.BAD_REQUEST: EngineRefused}


class Engine:
    """Answers as the SDK's low-level client gives them: JSON of the Engine API."""

    def __init__(self, host: DockerHost) -> None:
        self.host = host
        self._client: Any = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The host's name."""
        return self.host.name

    async def ask(self, verb: Callable[[Any], T]) -> T:
        """Run ``verb`` with the SDK's client in a thread.

        Raises:
            EngineAway, Missing, NameTaken, PortTaken, DiskFull, EngineRefused, ProviderUnavailable.
        """
        return await asyncio.to_thread(self.ask_now, verb)

    def asking(self, verb: Callable[[Any], Iterator[bytes]]) -> Iterator[bytes]:
        """What ``verb`` streams, blocking; raises as ``ask``, at the first chunk or later."""
        with self._answering() as api:
            yield from verb(api)

    def ask_now(self, verb: Callable[[Any], T]) -> T:
        """The same as ``ask``, blocking."""
        with self._answering() as api:
            return verb(api)

    @contextmanager
    def _answering(self) -> Generator[Any]:
        if trouble := self.host.trouble():
            raise EngineAway(trouble, retry_after=10)
        from docker.errors import APIError, DockerException  # noqa: PLC0415 - 20 MB, only where there is an engine
        from requests import RequestException  # noqa: PLC0415 - the same

        try:
            yield self._connected()
        except APIError as error:
            raise _translated(error, self.name) from error
        except (DockerException, RequestException, OSError) as error:
            raise EngineAway(f"Docker engine {self.name} does not answer ({type(error).__name__})") from error

    async def answers(self) -> bool:
        """Whether it is there."""
        try:
            return bool(await self.ask(lambda api: api.ping()))
        except ProviderError:
            return False

    async def find(self, verb: Callable[[Any], T]) -> T | None:
        """The same as ``ask``, None for what is missing."""
        try:
            return await self.ask(verb)
        except Missing:
            return None

    async def containers(self, filters: Callable[[], Json]) -> list[Json]:
        """Every container that fits, as ``inspect`` describes it."""

        def inspect(api: Any) -> list[Json]:
            listed = api.containers(all=True, filters=filters())
            return [found for each in listed for found in _inspected(api, each["Id"])]

        return await self.ask(inspect)

    async def put(self, container: str, folder: str, archive: bytes) -> None:
        """Unpack a tar into a folder of the container, whether it runs or not; owners and modes are the tar's."""
        await self.ask(lambda api: api.put_archive(container, folder, archive))

    async def get(self, container: str, path: str) -> dict[str, bytes] | None:
        """The files at a path of the container by their base names; None when there is nothing."""

        def read(api: Any) -> dict[str, bytes]:
            chunks, _ = api.get_archive(container, path)
            return _files(b"".join(chunks))

        return await self.find(read)

    def close(self) -> None:
        """Close its connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _connected(self) -> Any:
        from docker import APIClient  # noqa: PLC0415 - see above

        with self._lock:
            if self._client is None:
                self._client = APIClient(
                    base_url=self.host.url,
                    version="auto",
                    timeout=_CALL_SECONDS,
                    max_pool_size=_POOL,
                    use_ssh_client=True,
                )
            return self._client


def _inspected(api: Any, container_id: str) -> list[Json]:
    """None, when it was removed between the listing and now."""
    from docker.errors import NotFound  # noqa: PLC0415 - see above

    try:
        return [api.inspect_container(container_id)]
    except NotFound:
        return []


def archive_of(files: Mapping[str, bytes], *, owner: int, mode: int = 0o600) -> bytes:
    """A tar of files, which belong to ``owner`` (uid and gid)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.uid, entry.gid = len(content), mode, owner, owner
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def folders_of(names: Iterable[str], *, owner: int, mode: int = 0o700) -> bytes:
    """A tar of empty folders."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, owner, owner
            tar.addfile(entry)
    return buffer.getvalue()


def _files(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        read = ((entry.name.rpartition("/")[2], tar.extractfile(entry)) for entry in tar if entry.isfile())
        return {name: file.read() for name, file in read if file is not None}


def _translated(error: Any, name: str) -> ProviderError:
    """By what the engine says: its status alone does not tell a taken port from a full disk."""
    said = str(error.explanation or error)
    status = error.response.status_code if error.response is not None else HTTPStatus.INTERNAL_SERVER_ERROR
    if "port is already allocated" in said or "address already in use" in said:
        return PortTaken(said, retry_after=1)
    if "no space left on device" in said or "not enough space" in said:
        return DiskFull(f"the disk of Docker engine {name} is full: {said}", retry_after=60)
    if "address pool" in said:
        return ProviderUnavailable(
            f"Docker engine {name} has no network left: raise its default-address-pools ({said})", retry_after=60
        )
    kind = _KINDS.get(status)
    return ProviderUnavailable(f"Docker engine {name}: {said}", retry_after=5) if kind is None else kind(said)
