"""The process our services are forked from, so that they share the memory of what all of them import.

`python -m clawdeploy_cli.supervisor.warm_parent SOCKET MODULE …` imports the modules and then forks whatever is asked for at its socket.
It has no thread, no event loop, no connection and no secret: the supervisor tells a new process who it is through a pipe that only
that process reads (`forked.py`). A new process becomes the supervisor's own child, so it does not end with its warm parent.
"""

import argparse
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
from pathlib import Path

from setproctitle import setproctitle

from clawdeploy_cli.engines.leash import die_with
from clawdeploy_cli.supervisor.doorway import doorway

_WAITING = 16


def main() -> None:
    """Fork until told to stop; comes back in each of the new processes, and lives its life."""
    options = _parser().parse_args()
    setproctitle("clawdeploy warm parent")  # the library finds its place only while the environment is the first one
    gc.disable()  # collecting would leave holes in pages that are to be shared
    for module in options.modules:
        importlib.import_module(module)
    gc.freeze()
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        raise SystemExit("a module started a thread when it was imported: a forked process would miss it")
    log, certificate = _fork_for_ever(options.socket)
    gc.enable()
    _live(log, certificate)


def _fork_for_ever(path: Path) -> tuple[int, int]:
    """Returns in the processes that it forks, with the descriptors of their log and of their certificate."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        with doorway(path) as address:
            listener.bind(address)
        listener.listen(_WAITING)
        while True:
            connection, _ = listener.accept()
            with connection:
                _, descriptors, _, _ = socket.recv_fds(connection, 1, 2)
                if len(descriptors) == 2:  # noqa: PLR2004 - who only looks whether we are here sends none
                    if _is_born(connection):
                        return descriptors[0], descriptors[1]
                    for descriptor in descriptors:
                        os.close(descriptor)


def _is_born(connection: socket.socket) -> bool:
    """Fork twice: the process between the two says the new one's pid and ends, which gives it to the supervisor. True in the new one."""
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return False
    born = os.fork()
    if born:
        connection.sendall(str(born).encode())
        os._exit(0)  # no clean-up: all of this belongs to the warm parent
    return True


def _live(log: int, certificate: int) -> None:
    """Become the process that the certificate names; without one, as when the supervisor ended meanwhile, there is nothing to become."""
    os.setsid()
    for descriptor in (sys.stdout.fileno(), sys.stderr.fileno()):
        os.dup2(log, descriptor)
    os.close(log)
    with open(certificate, encoding="utf-8") as file:
        text = file.read()
    if not text:
        raise SystemExit(1)
    given = json.loads(text)
    die_with(given["parent"], signal.SIGTERM)
    os.environ.clear()
    os.environ.update(given["environment"])
    _, _, *sys.argv = given["argv"]
    setproctitle(" ".join(sys.argv))
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="warm-parent")
    parser.add_argument("socket", type=Path)
    parser.add_argument("modules", nargs="*")
    return parser


if __name__ == "__main__":
    main()
