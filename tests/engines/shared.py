"""The side of pytest that starts the engine host, and the side of a test that asks it."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from clawdeploy_cli.engines.leash import leashed
from tests.engines.host import SOCKET
from tests.engines.requirements import MissingOnThisMachine, lacking

FOLDER_VARIABLE = "CLAWDEPLOY_TEST_ENGINES"
REPOSITORY = Path(__file__).parents[2]
START_SECONDS = 280
"""The longest an engine may take, its download included."""


class SharedEngines:
    """The host process of one run."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="clawdeploy-tests-"))
        self.folder.chmod(0o711)  # PostgreSQL's account passes through
        os.environ[FOLDER_VARIABLE] = str(self.folder)
        command = leashed([sys.executable, "-m", "tests.engines.host", self.folder])
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        self._process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)

    def close(self) -> None:
        """End the host and with it every engine."""
        self._process.terminate()
        self._process.wait(60)
        os.environ.pop(FOLDER_VARIABLE, None)


def shared_engine(name: str) -> dict[str, Any]:
    """Ask for an engine of the run; it starts when nobody asked before. A lack ends the test."""
    try:
        return ask(name)
    except MissingOnThisMachine as error:
        lacking(str(error))


def ask(name: str) -> dict[str, Any]:
    """The same; raises MissingOnThisMachine, for who runs without pytest."""
    with _connected() as connection:
        connection.sendall(f"{name}\n".encode())
        answer: dict[str, Any] = json.loads(connection.makefile().readline())
    if "missing" in answer:
        raise MissingOnThisMachine(answer["missing"])
    if "error" in answer:
        raise RuntimeError(f"{name} did not start: {answer['error']}")
    return answer


def _connected() -> socket.socket:
    address = str(Path(os.environ[FOLDER_VARIABLE]) / SOCKET)
    deadline = time.monotonic() + 30  # the host needs a moment to import its engines
    while True:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(START_SECONDS)
        try:
            connection.connect(address)
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return connection
