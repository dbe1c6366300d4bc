"""Which steps each kind of operation takes: pure decisions."""

from collections.abc import Sequence

from clawdeploy_events.lifecycle import OperationKind, PlannedStep

DEPLOY = (
    "reserve",
    "mint_llm_key",
    "create_server",
    "wait_address",
    "connect",
    "install",
    "write_configuration",
    "start",
    "wait_started",
    "verify",
    "publish_endpoint",
)
REMOVE = ("revoke_llm_key", "destroy_server")
REDEPLOY = ("save_state", *REMOVE, *DEPLOY[:6], "restore_state", *DEPLOY[6:])
REBUILD = ("save_state", "rebuild_server", *REDEPLOY[REDEPLOY.index("wait_address") :])
UP = ("start", "wait_started")

_PLANS: dict[OperationKind, tuple[str, ...]] = {
    OperationKind.DEPLOY: DEPLOY,
    OperationKind.REDEPLOY: REDEPLOY,
    OperationKind.START: UP,
    OperationKind.RESUME: UP,
    OperationKind.UNSUSPEND: UP,
    OperationKind.STOP: ("stop",),
    OperationKind.PAUSE: ("stop",),
    OperationKind.SUSPEND: ("stop",),
    OperationKind.RESTART: ("stop", *UP),
    OperationKind.DESTROY: (*REMOVE, "forget_secrets"),
}

TITLES = {
    "reserve": "Reserve a place",
    "mint_llm_key": "Mint the LLM key",
    "create_server": "Create the server",
    "wait_address": "Wait for its address",
    "connect": "Connect to it",
    "install": "Install OpenClaw",
    "write_configuration": "Write the configuration",
    "start": "Start the agent",
    "wait_started": "Wait until it has started",
    "verify": "Verify that it works",
    "publish_endpoint": "Publish its endpoint",
    "stop": "Stop the agent",
    "revoke_llm_key": "Revoke the LLM key",
    "destroy_server": "Destroy the server",
    "rebuild_server": "Wipe the server",
    "save_state": "Save its state",
    "restore_state": "Restore its state",
    "forget_secrets": "Forget its secrets",  # pragma: allowlist secret
}

DEPLOYMENTS = frozenset({OperationKind.DEPLOY, OperationKind.REDEPLOY})
INTERRUPTING = frozenset({OperationKind.DESTROY, OperationKind.SUSPEND})
"""Kinds that ask the active operation to give way."""


def steps_of(
    kind: OperationKind, *, llm_key: str, restarts: bool, in_place: bool = False, keep_state: bool = False
) -> tuple[str, ...]:
    """The steps of an operation: a user's own LLM key is not minted, a configuration ``restarts`` only an agent that runs, where the
    server's own agent does not see to it, a redeployment in place keeps server and key, and only one that is asked to keeps the state.
    """
    if kind is OperationKind.APPLY_CONFIG:
        return ("write_configuration", "stop", *UP) if restarts else ("write_configuration",)
    names = REBUILD if kind is OperationKind.REDEPLOY and in_place else _PLANS[kind]
    left_out = {"mint_llm_key": llm_key != "minted", "save_state": not keep_state, "restore_state": not keep_state}
    return tuple(name for name in names if not left_out.get(name, False))


def planned(names: Sequence[str]) -> list[PlannedStep]:
    """Steps with their titles, as people see them."""
    return [PlannedStep(name=name, title=TITLES[name]) for name in names]
