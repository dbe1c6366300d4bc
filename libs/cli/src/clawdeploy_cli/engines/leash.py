"""Run a command that must not outlive the process that started it.

`python -m clawdeploy_cli.engines.leash [--signal NAME] [--user NAME] -- COMMAND …` leads its own session (a terminal's
Ctrl-C reaches the starter only, which then ends its children in order), gives up root when a user is named, asks the
kernel to signal it when its parent ends, and becomes the command. Nothing of Python stays behind.

The kernel takes the *thread* that started a child for its parent (prctl(2), PR_SET_PDEATHSIG): start leashed commands
from the main thread, or from one that lives as long as the engine should.
"""

import argparse
import ctypes
import os
import pwd
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""The number of that option in linux/prctl.h."""


def leashed(command: Sequence[str | Path], *, signal_name: str = "SIGTERM", user: str | None = None) -> list[str]:
    """Give the argv that runs `command` and ends it by `signal_name` when the process that started it is gone.

    Args:
        command: the argv of the engine.
        signal_name: what the kernel sends it then, such as `SIGINT`.
        user: the account it runs as; None keeps the caller's. Only root can name another.
    """
    argv = [sys.executable, "-I", "-m", "clawdeploy_cli.engines.leash", "--signal", signal_name]
    argv += ["--user", user] if user else []
    return [*argv, "--", *map(str, command)]


def main() -> None:
    """Become the command given after `--`."""
    parent = os.getppid()
    options = _parser().parse_args()
    if os.getpgrp() != os.getpid():
        os.setsid()
    os.chdir("/")  # the command may not be allowed to enter the starter's directory
    if options.user:
        _become(options.user)
    die_with(parent, signal.Signals[options.signal])
    os.execvp(options.command[0], options.command)  # noqa: S606 - an argv list from our own starters, no shell


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="leash")
    parser.add_argument("--signal", default="SIGTERM")
    parser.add_argument("--user")
    parser.add_argument("command", nargs="+")
    return parser


def _become(user: str) -> None:
    """Give up root for `user`; a change of identity also clears a death signal, so this comes first."""
    account = pwd.getpwnam(user)
    os.initgroups(user, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def die_with(parent: int, number: signal.Signals) -> None:
    """Have the kernel signal this process when its parent ends; it exits at once when `parent` is that no more."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel knew of our wish
        sys.exit(1)


if __name__ == "__main__":
    main()
