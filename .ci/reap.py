"""Run a command with a time limit, and let nothing that it started outlive it, daemons included.

`python3 .ci/reap.py SECONDS COMMAND …` adopts every orphan among the command's descendants (prctl(2),
PR_SET_CHILD_SUBREAPER). What still runs ten seconds after the command has ended is named, killed, and makes the whole fail.
Only the standard library: it runs before anything is installed.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
GRACE_SECONDS = 10
TIMED_OUT = 124
LEFT_BEHIND = 70
"""Exit code when the command succeeded but left processes (EX_SOFTWARE of sysexits.h)."""


def main() -> int:
    """Run the command given in argv and give the exit code."""
    seconds, command = float(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, _give_up)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - what .ci/run was told to run
    code = _exit_code(process.pid, seconds=seconds)
    if code is None:
        sys.stderr.write(f"{command} did not end within {seconds:g} s\n")
        process.terminate()
        code = TIMED_OUT
    left = _left_behind()
    for pid in left:
        sys.stderr.write(f"left behind by {command}: {pid} {_command_line(pid)}\n")
    _kill_descendants()
    return code or (LEFT_BEHIND if left else 0)


def _exit_code(pid: int, *, seconds: float) -> int | None:
    """Wait for the command, and bury every orphan on the way: unburied, it would still seem to exist."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(-1, os.WNOHANG)
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        if not ended:
            time.sleep(0.05)
    return None


def _give_up(_number: int, _frame: object) -> None:
    """Who ends us ends everything that we started."""
    _kill_descendants()
    sys.exit(128 + signal.SIGTERM)


def _left_behind() -> list[int]:
    deadline = time.monotonic() + GRACE_SECONDS
    while (pids := _descendants()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return pids


def _kill_descendants() -> None:
    """Kill until there is none: who is killed may leave children, which come to us."""
    while pids := _descendants():
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)


def _descendants() -> list[int]:
    _collect_the_dead()
    parents = {int(path.name): _parent(path) for path in Path("/proc").iterdir() if path.name.isdigit()}
    found = [os.getpid()]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def _parent(path: Path) -> int:
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _collect_the_dead() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200]
    except (FileNotFoundError, ProcessLookupError):
        return "(gone)"


if __name__ == "__main__":
    sys.exit(main())
