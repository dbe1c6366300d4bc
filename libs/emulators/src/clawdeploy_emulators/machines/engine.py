"""A Docker engine, by the `docker` command."""

import asyncio
import shutil


class EngineTrouble(Exception):
    """The Docker engine is away, or something it needs failed; the message says what."""


class Engine:
    """The engine at ``url``."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def run(self, *arguments: str, given: bytes | None = None) -> str:
        """What a command prints; ``given`` is its input. Raises EngineTrouble."""
        return await output_of("docker", "-H", self._url, *arguments, given=given)

    async def knows(self, kind: str, name: str) -> bool:
        """Whether there is such an image or container."""
        try:
            await self.run(kind, "inspect", "-f", "{{.Id}}", name)
        except EngineTrouble:
            return False
        return True

    async def check(self) -> None:
        """Raises EngineTrouble, with what to install, when no engine answers."""
        if shutil.which("docker") is None:
            raise EngineTrouble("real machines need Docker (Debian: apt-get install docker.io)")
        await self.run("version", "-f", "{{.Server.Version}}")


async def output_of(*argv: str, given: bytes | None = None) -> str:
    """What a program prints; raises EngineTrouble with its last words when it fails."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL if given is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, complaints = await process.communicate(given)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        last = (complaints or output).decode(errors="replace").strip()[-500:]
        raise EngineTrouble(f"{argv[0]} failed: {last}")
    return output.decode(errors="replace").strip()
