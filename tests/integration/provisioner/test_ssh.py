"""SSH to servers: Debian's OpenSSH server on the loopback address is the server."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from http import HTTPStatus
from pathlib import Path
from uuid import UUID

import pytest
from fastapi import FastAPI, Request
from sqlalchemy import text
from starlette.responses import StreamingResponse
from tests.contracts.serving import served
from tests.engines.requirements import MissingOnThisMachine, lacking
from tests.engines.sshd import SshServer
from tests.integration.provisioner.conftest import Platform

from clawdeploy_common.http import AsyncClient
from clawdeploy_common.ids import new_id
from clawdeploy_provisioner.kept_state.tar import StateUnreadable
from clawdeploy_provisioner.on_server.messages import AgentConfigurationContent
from clawdeploy_provisioner.on_server.registry import AgentRegistry
from clawdeploy_provisioner.on_server.ssh.connecting import wait_for
from clawdeploy_provisioner.on_server.ssh.errors import CommandFailed, HostKeyChanged, NoSshLogin, SshUnavailable
from clawdeploy_provisioner.on_server.ssh.journal import ServerJournal
from clawdeploy_provisioner.on_server.ssh.logins import Logins
from clawdeploy_provisioner.on_server.ssh.sessions import SshSessions
from clawdeploy_provisioner.on_server.ssh.state import SshState
from clawdeploy_provisioner.on_server.ssh.tunnels import TunnelTransport, tunnel_url
from clawdeploy_provisioner.on_server.ssh_keys import new_private_key, public_line

SECRET = "the-bot-token-of-somebody"  # pragma: allowlist secret
KEY = new_private_key()
_INSTANCE = "INSERT INTO instances (id, account_id, deployment, identity) VALUES (:id, :id, '{}', '')"
_SERVER = """
    INSERT INTO servers (id, instance_id, account_id, operation_id, provider, region, plan, price_version, host)
    VALUES (:id, :id, :id, :id, 'light', 'local', 'basic', 1, '127.0.0.1')
"""


@pytest.fixture
def sshd(tmp_path: Path) -> Generator[SshServer]:
    server = SshServer(tmp_path, public_key=public_line(KEY))
    try:
        server.start()
    except MissingOnThisMachine as error:
        lacking(str(error))
    yield server
    server.stop()


class Reached:
    """A recorded server that is behind the OpenSSH server, and the way to it."""

    def __init__(self, platform: Platform, server_id: UUID, sshd: SshServer) -> None:
        database = platform.service.database
        self.database = database
        self.id = server_id
        self.agents = AgentRegistry(database, platform.secrets)
        self.logins = Logins(database, platform.secrets)
        self.sessions = SshSessions(self.logins, idle_seconds=0.1)
        self.sshd = sshd

    async def up(self) -> None:
        """Wait until it lets us in."""
        await wait_for(self.id, self.logins, seconds=20)


@pytest.fixture
async def reached(platform: Platform, sshd: SshServer) -> AsyncGenerator[Reached]:
    found = Reached(platform, new_id(), sshd)
    async with found.database.transaction() as unit:
        await unit.session.execute(text(_INSTANCE), {"id": found.id})
        await unit.session.execute(text(_SERVER), {"id": found.id})
    await found.agents.expect(found.id, instance_id=found.id, account_id=found.id, ssh_key=KEY, ssh_port=sshd.port)
    await found.up()
    yield found
    await found.sessions.close()


async def test_arguments_arrive_as_they_were_given(reached: Reached) -> None:
    """INVARIANT: no shell reads what we run: quotes, spaces, substitutions and newlines are plain text."""
    hostile = ["a b", "$(id)", "`id`", "'; exit 7; '", '"', "*", "", "ü"]
    async with reached.sessions.to(reached.id) as session:
        lines = await session.run(["printf", "<%s>\\n", *hostile], seconds=10)
    assert lines == [f"<{argument}>" for argument in hostile]


async def test_lines_are_told_as_they_come_and_a_failure_with_the_last_ones(reached: Reached) -> None:
    told: list[str] = []

    async def tell(line: str) -> None:
        told.append(line)

    script = "import sys; print('one'); print('sk-or-v1-' + 'x' * 40, file=sys.stderr); sys.exit(3)"
    async with reached.sessions.to(reached.id) as session:
        with pytest.raises(CommandFailed) as failure:
            await session.run(["python3", "-u", "-c", script], seconds=10, told=tell)
    assert told == ["one", "[redacted]"] == failure.value.last_lines
    assert failure.value.exit_status == 3


async def test_a_program_that_takes_too_long_is_left(reached: Reached) -> None:
    async with reached.sessions.to(reached.id) as session:
        with pytest.raises(SshUnavailable, match="longer than"):
            await session.run(["sleep", "600"], seconds=0.2)
        assert await session.run(["echo", "still there"], seconds=10) == ["still there"]


async def test_a_file_is_put_with_its_directories_and_rights(reached: Reached, tmp_path: Path) -> None:
    target = tmp_path / "etc" / "claw deploy" / "agent.json"
    async with reached.sessions.to(reached.id) as session:
        await session.put(str(target), b"{}\n", mode=0o600, seconds=10)
        await session.put(str(target), b"{1}\n", mode=0o600, seconds=10)
        assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"{1}\n", 0o600)
        assert not [line for line in await session.run(["ls", "-a", "/root"], seconds=10) if ".clawdeploy-" in line]


async def test_a_changed_host_key_ends_it(reached: Reached) -> None:
    """INVARIANT: a server is known by the host key of the first contact; to another one nothing is sent."""
    reached.sshd.stop()
    reached.sshd.new_host_key()
    reached.sshd.start()
    with pytest.raises(HostKeyChanged, match="reinstalled outside the platform"):
        await reached.up()
    assert "Accepted publickey" not in reached.sshd.log().rpartition("Server listening")[2]
    await reached.logins.unpin(reached.id)
    await reached.up()


async def test_nobody_who_was_revoked_is_let_in(reached: Reached) -> None:
    await reached.agents.revoke(reached.id)
    with pytest.raises(NoSshLogin):
        await reached.up()


async def test_a_connection_is_shared_and_closed_when_nobody_needs_it(reached: Reached) -> None:
    async with reached.sessions.to(reached.id) as one, reached.sessions.to(reached.id) as other:
        assert one is other
    async with asyncio.timeout(10):
        while not one.is_closed:
            await asyncio.sleep(0.02)
    async with reached.sessions.to(reached.id) as again:
        assert await again.run(["echo", "here"], seconds=10) == ["here"]


async def test_a_gateway_on_the_servers_loopback_address_answers_through_the_tunnel(reached: Reached) -> None:
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> StreamingResponse:
        said = await request.json()

        async def parts() -> AsyncGenerator[str]:
            yield f"data: {request.headers['host']}\n\n"
            yield f"data: {said['text']}\n\n"

        return StreamingResponse(parts(), media_type="text/event-stream")

    with served(app) as address:
        port = int(address.rpartition(":")[2])
        transport = TunnelTransport(reached.sessions, port=port)
        async with AsyncClient(transport=transport, trust_env=False) as http:
            url = f"{tunnel_url(reached.id)}/v1/chat/completions"
            async with http.stream("POST", url, json={"text": "hello"}) as answer:
                lines = [line async for line in answer.aiter_lines() if line]
            missing = await http.get(f"{tunnel_url(reached.id)}/elsewhere")
        assert lines == [f"data: 127.0.0.1:{port}", "data: hello"]
        assert missing.status_code == HTTPStatus.NOT_FOUND


async def test_the_journal_is_read_and_followed_without_its_secrets(reached: Reached) -> None:
    """INVARIANT: a secret is never in a log that somebody reads."""
    content = AgentConfigurationContent(version=1, document={}, environment={"BOT_TOKEN": SECRET})
    await reached.agents.publish(reached.id, content)
    told = f"import sys; print(*sys.argv[1:]); print('token {SECRET}'); sys.stdout.flush()"
    reached.sshd.program("journalctl", f'#!/usr/bin/python3\n{told}\nif "--follow" in sys.argv: sys.stdin.read()\n')
    journal = ServerJournal(reached.sessions, reached.agents)
    options = "--unit openclaw.service --output cat --no-pager --lines"
    assert await journal.last(reached.id, count=2) == [f"{options} 2", "token [redacted]"]
    async with aclosing(journal.follow(reached.id)) as lines:
        assert [await anext(lines), await anext(lines)] == [f"{options} 0 --follow", "token [redacted]"]


async def test_of_a_server_without_ssh_the_agents_last_word_is_shown_and_why(reached: Reached) -> None:
    reached.sshd.stop()
    (line,) = await ServerJournal(reached.sessions, reached.agents).last(reached.id, count=10)
    reached.sshd.start()
    assert "does not answer over SSH: Connection refused at " in line


async def test_an_agents_state_is_read_and_written_as_its_user(reached: Reached, tmp_path: Path) -> None:
    """With tar itself; only who it is run as, and where, is this machine's."""
    disk = tmp_path / "disk"
    runuser = f"""#!/usr/bin/python3
import os, sys
if sys.argv[1:4] != ["-u", "openclaw", "--"]: sys.exit("not as the agent's user")
argv = [each.replace("/var/lib/openclaw/.openclaw", {str(disk)!r}) for each in sys.argv[4:]]
os.execvp(argv[0], argv)
"""
    reached.sshd.program("runuser", runuser)
    workspace, state = disk / "workspace", SshState(reached.sessions)
    (workspace / "node_modules").mkdir(parents=True)
    (workspace / "large").write_bytes(bytes(range(256)) * 12_000)
    (workspace / "ü'$(id)").write_text("a name")
    (disk / "openclaw.json").write_text("{}")
    assert 3_072_000 < await state.size(reached.id) < 3_100_000
    async with aclosing(state.read(reached.id)) as read:
        chunks = [chunk async for chunk in read]
    assert [len(chunk) for chunk in chunks[:-1]] == [1_048_576, 1_048_576]

    disk = disk.rename(tmp_path / "before")
    (tmp_path / "disk").mkdir()
    for _ in range(2):
        await state.write(reached.id, _each(chunks))
    found = {str(path.relative_to(tmp_path / "disk")) for path in (tmp_path / "disk").rglob("*")}
    assert found == {"workspace", "workspace/large", "workspace/ü'$(id)"}
    assert (tmp_path / "disk/workspace/large").read_bytes() == (disk / "workspace/large").read_bytes()


async def test_a_state_that_is_not_there_is_an_error(reached: Reached) -> None:
    """Whether the program cannot be run or fails: what came of it is not taken for the whole."""
    reached.sshd.program("runuser", "#!/bin/sh\necho 'runuser: user openclaw does not exist' >&2\nexit 1\n")
    state = SshState(reached.sessions)
    with pytest.raises(StateUnreadable):
        await state.size(reached.id)
    with pytest.raises(StateUnreadable):
        _ = [chunk async for chunk in state.read(reached.id)]
    with pytest.raises(StateUnreadable):
        await state.write(reached.id, _each([b"x"]))


async def _each(chunks: list[bytes]) -> AsyncGenerator[bytes]:
    for chunk in chunks:
        yield chunk
