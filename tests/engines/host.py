"""The process that keeps the engines which all workers of a run share.

`python -m tests.engines.host FOLDER` is started, leashed, by the process that runs pytest (with xdist: the controller).
Workers ask over a Unix socket; an engine starts when it is first asked for. SIGTERM, also sent by the kernel when pytest
was killed, ends all engines and removes the folder.
"""

import asyncio
import json
import secrets
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from clawdeploy_cli.engines.database import prepare_database, role_names
from clawdeploy_emulators.machines.engine import Engine, EngineTrouble
from clawdeploy_emulators.machines.image import ensure_image
from tests.engines.apache_kafka import ApacheKafka
from tests.engines.docker_engine import DockerEngine
from tests.engines.requirements import MissingOnThisMachine
from tests.engines.wheels import RunningBroker, RunningPostgres

SOCKET = "host.sock"
TEMPLATE = "clawdeploy_template"

Answer = dict[str, object]


class EngineHost:
    """Starts each engine once and remembers its address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._answers: dict[str, asyncio.Task[Answer]] = {}
        self._endings: list[Callable[[], None]] = []
        self._docker: DockerEngine | None = None
        self._starters: dict[str, Callable[[], Awaitable[Answer]]] = {
            "kafka": self._start_kafka,
            "broker": self._start_broker,
            "postgres": self._start_postgres,
            "docker": self._start_docker,
            "light-images": self._make_light_images,
            "openclaw-image": self._make_openclaw_image,
            "machine-image": self._make_machine_image,
        }

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one worker: one line with an engine's name, one line of JSON back."""
        name = (await reader.readline()).decode().strip()
        writer.write(json.dumps(await self._engine(name)).encode() + b"\n")
        await writer.drain()
        writer.close()

    def close(self) -> None:
        """End every engine."""
        for end in reversed(self._endings):
            end()

    async def _engine(self, name: str) -> Answer:
        if name not in self._answers:
            self._answers[name] = asyncio.create_task(self._start(name))
        return await asyncio.shield(self._answers[name])

    async def _start(self, name: str) -> Answer:
        try:
            return await self._starters[name]()
        except MissingOnThisMachine as error:
            return {"missing": str(error)}
        except Exception as error:  # noqa: BLE001 - the worker that asked raises it
            return {"error": f"{type(error).__name__}: {error}"}

    async def _start_kafka(self) -> Answer:
        kafka = await asyncio.to_thread(ApacheKafka, self._folder / "kafka")
        self._endings.append(kafka.kill)
        await kafka.start()
        return {"bootstrap_servers": kafka.bootstrap_servers}

    async def _start_broker(self) -> Answer:
        broker = RunningBroker(self._folder / "broker")
        self._endings.append(broker.kill)
        await broker.start()
        return {"bootstrap_servers": broker.bootstrap_servers}

    async def _start_docker(self) -> Answer:
        self._docker = DockerEngine(self._folder / "docker")
        self._endings.append(self._docker.stop)
        await self._docker.start()
        return {"url": self._docker.url}

    async def _make_light_images(self) -> Answer:
        answer = await self._engine("docker")
        if self._docker is not None and "url" in answer:
            await asyncio.to_thread(self._docker.make_light_images)
        return answer

    async def _make_openclaw_image(self) -> Answer:
        answer = await self._engine("docker")
        if self._docker is not None and "url" in answer:
            await asyncio.to_thread(self._docker.make_openclaw_image)
        return answer

    async def _make_machine_image(self) -> Answer:
        answer = await self._engine("docker")
        if "url" in answer:
            try:
                await ensure_image(Engine(str(answer["url"])))
            except EngineTrouble as error:
                raise MissingOnThisMachine(f"the image of emulated servers cannot be made here: {error}") from error
        return answer

    async def _start_postgres(self) -> Answer:
        postgres = RunningPostgres(self._folder / "postgres")
        self._endings.append(postgres.remove)
        await postgres.start()
        passwords = {role: secrets.token_urlsafe(16) for role in role_names()}
        await prepare_database(postgres.admin_url, database=TEMPLATE, passwords=passwords)
        return {"admin_url": postgres.admin_url, "passwords": passwords, "template": TEMPLATE}


async def main(folder: Path) -> None:
    """Serve until SIGTERM."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    host = EngineHost(folder)
    server = await asyncio.start_unix_server(host.answer, folder / SOCKET)
    try:
        await ended.wait()
    finally:
        server.close()
        host.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
