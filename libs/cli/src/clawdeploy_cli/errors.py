"""What can go wrong on the command line, and the exit code each kind ends with.

| code | meaning |
|---|---|
| 0 | done |
| 1 | it was tried and failed (a deploy that failed, a process that would not start) |
| 2 | wrong usage: unknown option, missing argument or environment variable, a value the platform does not take (422) |
| 3 | not found |
| 4 | the platform is not running, not ready or not reachable |
| 5 | refused: no permission, over quota, conflict, or not confirmed |
| 130 | interrupted by Ctrl-C |
| 141 | the reader of its output left |
"""

from typing import ClassVar


class ClawError(Exception):
    """Root of what `claw` reports to a person: one sentence, and what to do about it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Failed(ClawError):
    """It was tried and did not work."""


class UsageProblem(ClawError):
    """The command line or the environment asks for something that makes no sense."""

    exit_code = 2


class NotFound(ClawError):
    """There is nothing of that name or id (or it belongs to somebody else)."""

    exit_code = 3


class NotReady(ClawError):
    """The platform does not run, is not ready yet, or cannot be reached."""

    exit_code = 4


class Refused(ClawError):
    """The platform understood and declined, or the person did."""

    exit_code = 5
