"""Going into a machine of the operator's own with its own login: to look whether it can take an agent, and to put it back."""

import json
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import asyncssh

from clawdeploy_common.errors import PermanentError
from clawdeploy_provisioner.on_server import release
from clawdeploy_provisioner.on_server.ssh.connecting import connect
from clawdeploy_provisioner.on_server.ssh.errors import CommandFailed, HostKeyChanged, SshUnavailable
from clawdeploy_provisioner.on_server.ssh.session import SshSession
from clawdeploy_provisioner.providers.own.machines import OwnMachine, OwnMachines
from clawdeploy_provisioner.providers.protocol import ProviderError, ProviderUnavailable

_LOOK_S = 30.0
_RELEASE_S = 120.0


class NotSuitable(ProviderError, PermanentError):
    """Something of ours is on a machine, or it lacks what an agent needs."""

    code = "machine-not-suitable"
    title = "The machine cannot take an agent"


class AnotherMachine(ProviderError, PermanentError):
    """Another SSH host key than the known one is shown; nothing is done there."""

    code = "another-machine"
    title = "Another machine answers"


class Visits:
    """Each is a connection of its own, by the machine's own login; its host key is pinned at the first."""

    def __init__(self, machines: OwnMachines) -> None:
        self._machines = machines

    async def look(self, machine: OwnMachine) -> int:
        """How much memory a machine has that can take an agent; nothing is changed on it.

        Raises:
            NotSuitable: something of ours is on it, it lacks something, or it is registered twice.
            AnotherMachine, ProviderUnavailable: nobody could look.
        """
        answer = await self._answer(machine, "--look", seconds=_LOOK_S)
        if (twin := await self._machines.twin(machine)) is not None:
            raise NotSuitable(
                f"{machine.name} shows the SSH host key of {twin}: it is the same machine, or a copy that was given no keys of its own"
            )
        if answer["left"]:
            raise NotSuitable(f"on {machine.name} there is already {', '.join(answer['left'])}")
        if answer["lacks"]:
            raise NotSuitable(f"{machine.name} lacks {' and '.join(answer['lacks'])}")
        return int(answer["memory_mb"])

    async def put_back(self, machine: OwnMachine) -> None:
        """Remove everything that an agent brought along; safe to repeat.

        Raises:
            ProviderUnavailable: something is still there, or nobody could look.
            AnotherMachine: nobody could look.
        """
        left = (await self._answer(machine, seconds=_RELEASE_S))["left"]
        if left:
            raise ProviderUnavailable(f"on {machine.name} there is still {', '.join(left)}", retry_after=10)

    async def _answer(self, machine: OwnMachine, *options: str, seconds: float) -> dict[str, Any]:
        """The program travels as an argument, so that it leaves nothing behind itself."""
        with _by_name(machine):
            async with self._session(machine) as session:
                try:
                    lines = await session.run(["python3", "-c", _program(), *options], seconds=seconds)
                except CommandFailed as error:  # its answer may be no
                    lines = error.last_lines
        try:
            return dict(json.loads(lines[-1]))
        except (IndexError, ValueError, TypeError):
            said = lines[-1] if lines else "it said nothing"
            raise ProviderUnavailable(
                f"on {machine.name} python3 cannot be run as root: {said}", retry_after=10
            ) from None

    @asynccontextmanager
    async def _session(self, machine: OwnMachine) -> AsyncGenerator[SshSession]:
        login = await self._machines.login(machine)
        connection = await connect(machine.id, login, self._machines)
        session = SshSession(connection, server_id=machine.id, user=login.user)
        try:
            yield session
        finally:
            with suppress(OSError, asyncssh.Error):
                await session.close()


@cache
def _program() -> str:
    return Path(release.__file__).read_text()


@contextmanager
def _by_name(machine: OwnMachine) -> Generator[None]:
    """What is said of a server's number elsewhere is said of the machine's name here: its owner knows no number."""
    try:
        yield
    except HostKeyChanged:
        raise AnotherMachine(
            f"{machine.name} shows another SSH host key than the one that is known: remove it and add it again if that is right"
        ) from None
    except SshUnavailable as error:
        raise ProviderUnavailable(f"{machine.name} does not answer over SSH: {error.reason}", retry_after=5) from error
