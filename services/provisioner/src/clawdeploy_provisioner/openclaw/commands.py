"""Running one command of OpenClaw to its end."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clawdeploy_common.errors import TemporaryError


class CommandTimedOut(TemporaryError):
    """A command of OpenClaw did not end in time and was killed."""

    code = "openclaw-command-timed-out"


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a command ended."""

    exit_code: int
    stdout: bytes
    stderr: bytes


async def run(
    argv: list[str],
    *,
    environment: Mapping[str, str],
    directory: Path,
    patience: float,
    stdin: bytes = b"",
    owner: tuple[int, int] | None = None,
) -> Finished:
    """Run ``argv`` with exactly this environment, as ``owner`` (uid, gid) when given; ``patience`` in seconds.

    Raises:
        CommandTimedOut: it was killed.
    """
    user, group = owner or (None, None)
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=directory,
        env=dict(environment),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        user=user,
        group=group,
        extra_groups=None if owner is None else [],
        umask=0o077,
    )
    try:
        async with asyncio.timeout(patience):
            stdout, stderr = await process.communicate(stdin)
    except TimeoutError:
        raise CommandTimedOut(f"{' '.join(argv[-3:])} took longer than {patience:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Finished(exit_code=process.returncode or 0, stdout=stdout, stderr=stderr)
