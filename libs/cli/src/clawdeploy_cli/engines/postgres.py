"""The embedded PostgreSQL server: passwords for everybody, reachable on the loopback address only."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import asyncpg
import psutil

from clawdeploy_cli.engines.leash import leashed
from clawdeploy_cli.engines.placement import Placement, place
from clawdeploy_cli.engines.readiness import wait_until_ready

SUPERUSER = "postgres"
HOST = "127.0.0.1"
STOP_SIGNAL = signal.SIGINT
"""PostgreSQL's fast shutdown: running transactions are rolled back, everything committed is kept."""
NOT_READY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "unix_socket_directories": "",  # TCP with passwords is the only door
    "tcp_keepalives_idle": "30",  # a client that vanished loses its locks within a minute
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "log_min_error_statement": "panic",  # statements and row values may hold what must not be in a log
    "log_error_verbosity": "terse",
}


class PostgresNotPrepared(Exception):
    """The data directory could not be made."""


@dataclass(frozen=True, kw_only=True)
class EmbeddedPostgres:
    """One server with its data.

    Args:
        data_dir: where the data should live; `placement` says where they do (as root that may differ).
        port: the TCP port on 127.0.0.1.
        password_file: a file (0600) with the superuser's password in its first line; it must exist.
        fsync: False trusts the machine not to lose power (kill -9 still loses nothing); for tests only.
    """

    data_dir: Path
    port: int
    password_file: Path
    fsync: bool = True

    @cached_property
    def placement(self) -> Placement:
        """Where the server's files are, and the account it runs as."""
        return place(self.data_dir)

    @property
    def admin_url(self) -> str:
        """The superuser's address. It holds the password: for the starter's eyes only."""
        password = quote(self._password(), safe="")
        return f"postgresql://{SUPERUSER}:{password}@{HOST}:{self.port}/postgres"

    def prepare(self) -> None:
        """Make the data directory if there is none, and forget the lock of a server that is gone. Safe to repeat.

        Raises:
            PostgresNotPrepared: initdb refused; the message ends with its words.
        """
        data_dir = self.placement.data_dir
        self._make_folders()
        if not (data_dir / "PG_VERSION").exists():
            staging = data_dir.with_name(f"{data_dir.name}.new")
            shutil.rmtree(staging, ignore_errors=True)  # left by an initdb that was killed
            self._initdb(staging)
            staging.rename(data_dir)
        _forget_stale_lock(data_dir)

    def command(self) -> list[str]:
        """Give the argv of the server; it stays in the foreground and ends with its starter."""
        options = {**SETTINGS, "listen_addresses": HOST, "port": str(self.port)}
        options |= {} if self.fsync else {"fsync": "off"}
        argv: list[str | Path] = [self.placement.bin_dir / "postgres", "-D", self.placement.data_dir]
        for name, value in options.items():
            argv += ["-c", f"{name}={value}"]
        return leashed(argv, signal_name=STOP_SIGNAL.name, user=self.placement.account)

    def environment(self) -> dict[str, str]:
        """Give the whole environment of the server: nothing of the starter's, which holds secrets."""
        return {"PATH": os.defpath, "LC_ALL": "C"}

    async def is_ready(self) -> bool:
        """Whether the server answers a query now (not while it starts up or recovers)."""
        try:
            connection = await asyncpg.connect(self.admin_url, timeout=5)
        except NOT_READY:
            return False
        try:
            return await connection.fetchval("SELECT true", timeout=5) is True
        except NOT_READY:
            return False
        finally:
            connection.terminate()

    async def wait_ready(self, *, seconds: float = 60) -> None:
        """Wait until the server answers.

        Raises:
            EngineNotReady: it did not within `seconds`.
        """
        await wait_until_ready("PostgreSQL", self.is_ready, seconds=seconds)

    def remove(self) -> None:
        """Delete the data, wherever they are. The server must be stopped."""
        shutil.rmtree(self.placement.data_dir, ignore_errors=True)
        if self.data_dir.is_symlink():
            self.data_dir.unlink()
            with contextlib.suppress(OSError):  # something else is in it
                self.placement.data_dir.parent.rmdir()

    def _password(self) -> str:
        return self.password_file.read_text().splitlines()[0]

    def _make_folders(self) -> None:
        """Make the folder of the data, and a link to it where they were asked for but cannot be."""
        actual = self.placement.data_dir
        actual.parent.mkdir(parents=True, exist_ok=True)
        if actual == self.data_dir.absolute():
            return
        actual.parent.parent.chmod(0o755)
        actual.parent.chmod(0o711)  # to pass through, not to look around
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        if not self.data_dir.is_symlink():
            self.data_dir.symlink_to(actual)

    def _initdb(self, directory: Path) -> None:
        account = self.placement.account
        directory.mkdir(mode=0o700)
        if account:
            shutil.chown(directory, account, account)
        with _password_copy(self._password(), directory=directory.parent, account=account) as pwfile:
            argv: list[str | Path] = [self.placement.bin_dir / "initdb", "-D", directory, "--pwfile", pwfile]
            argv += [f"--username={SUPERUSER}", "--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8"]
            argv += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            argv += [] if self.fsync else ["--no-sync"]
            command = leashed(argv, user=account)
            result = subprocess.run(  # noqa: S603 - an argv of our own making
                command, env=self.environment(), check=False, capture_output=True, text=True
            )
        if result.returncode != 0:
            raise PostgresNotPrepared(f"initdb ended with {result.returncode}: {result.stderr.strip()[-1000:]}")


@contextlib.contextmanager
def _password_copy(password: str, *, directory: Path, account: str | None) -> Generator[Path, None, None]:
    """Lend initdb the password in a file (0600) that its account can read; it is gone afterwards."""
    with tempfile.NamedTemporaryFile("w", dir=directory) as file:
        if account:
            shutil.chown(file.name, account, account)
        file.write(password)
        file.flush()
        yield Path(file.name)


def _forget_stale_lock(data_dir: Path) -> None:
    """Remove postmaster.pid when its process is gone or is something else (after a reboot numbers come back)."""
    lock = data_dir / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, IndexError, ValueError):
        pid = int(lock.read_text().splitlines()[0])
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).name() == "postgres":
                return
        lock.unlink()
