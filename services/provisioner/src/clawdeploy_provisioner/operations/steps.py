"""What a step is: a verb that is safe to run again, and how to undo it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from clawdeploy_provisioner.operations.context import Record, StepContext

Verb = Callable[[StepContext], Awaitable[Record | None]]


@dataclass(frozen=True)
class Step:
    """``ensure`` brings about a state, whatever an earlier attempt did; ``undo`` takes it back, or leaves a debt that will.

    Either returns what is to be recorded in the transaction that marks the step.
    """

    ensure: Verb
    undo: Verb | None = None


Steps = Mapping[str, Step]
