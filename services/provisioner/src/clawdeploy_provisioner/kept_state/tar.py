"""GNU tar's command lines: what the sieve would leave out anyway, and is large, is not even read."""

import structlog

from clawdeploy_common.errors import PermanentError
from clawdeploy_provisioner.kept_state.sieve import LEFT_OUT, LEFT_OUT_ANYWHERE, WORKSPACE
from clawdeploy_provisioner.providers.protocol import ProviderError

log = structlog.get_logger()

_EXCLUDED = ("--anchored", *(f"--exclude=./{name}" for name in sorted(LEFT_OUT)), "--no-anchored")
_CREATE = ("tar", "--create", "--hard-dereference", "--warning=no-file-ignored", *_EXCLUDED)
_EXTRACT = ("tar", "--extract", "--file=-", "--no-same-owner", "--overwrite")
_TOTAL = "Total bytes written: "


class StateUnreadable(ProviderError, PermanentError):
    """The agent's files could not be read, or not be written; what tar ``said`` names our folders and is logged only.

    Trying again would leave the agent stopped for long, and change nothing: a file is not readable, or a disk is full.
    """

    code = "state-unreadable"

    def __init__(self, said: str) -> None:
        super().__init__("some of the agent's files could not be read, or not be written, by its own user")
        log.warning("state.not_copied", said=said[-500:])


def packing(state: str, *, beside: bool = False) -> list[str]:
    """argv that writes the tar to stdout; the workspace lies in the state folder or ``beside`` it."""
    return [*_CREATE, "--file=-", *_what(state, beside=beside)]


def counting(state: str, *, beside: bool = False) -> list[str]:
    """argv that says on stderr how long that tar would be: tar reads no file whose archive is /dev/null."""
    return [*_CREATE, "--file=/dev/null", "--totals", *_what(state, beside=beside)]


def counted(said: str) -> int:
    """What ``counting`` has said, although a running agent removes files meanwhile; raises StateUnreadable."""
    line = next((line for line in said.splitlines() if line.startswith(_TOTAL)), None)
    if line is None:
        raise StateUnreadable(said)
    return int(line.removeprefix(_TOTAL).split()[0])


def unpacking(state: str) -> list[str]:
    """argv that takes the tar from stdin into the state folder."""
    return [*_EXTRACT, "--directory", state]


def unpacking_state(state: str) -> list[str]:
    """The same without the workspace."""
    return [*_EXTRACT, "--anchored", f"--exclude={WORKSPACE}", "--directory", state]


def unpacking_workspace(workspace: str) -> list[str]:
    """Only the workspace, into its folder."""
    return [*_EXTRACT, "--strip-components=1", "--directory", workspace, WORKSPACE]


def _what(state: str, *, beside: bool) -> list[str]:
    excluded = [f"--exclude={LEFT_OUT_ANYWHERE}"]
    if not beside:
        return [*excluded, "--directory", state, "."]
    # the folder around both can be passed, not opened, and tar leaves "../" out of names
    return [*excluded, "--anchored", f"--exclude=./{WORKSPACE}", "--directory", state, ".", f"../{WORKSPACE}"]
