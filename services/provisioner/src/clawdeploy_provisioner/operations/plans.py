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
REBUILD = ("rebuild_server", *DEPLOY[DEPLOY.index("wait_address") :])
REMOVE = ("revoke_llm_key", "destroy_server")
UP = ("start", "wait_started")

_PLANS: dict[OperationKind, tuple[str, ...]] = {
    OperationKind.DEPLOY: DEPLOY,
    OperationKind.REDEPLOY: (*REMOVE, *DEPLOY),
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
    "forget_secrets": "Forget its secrets",  # pragma: allowlist secret
}

DEPLOYMENTS = frozenset({OperationKind.DEPLOY, OperationKind.REDEPLOY})
INTERRUPTING = frozenset({OperationKind.DESTROY, OperationKind.SUSPEND})
"""Kinds that ask the active operation to give way."""


def steps_of(kind: OperationKind, *, llm_key: str, restarts: bool, in_place: bool = False) -> tuple[str, ...]:
    """The steps of an operation: a user's own LLM key is not minted, a configuration ``restarts`` only an agent that runs, where the
    server's own agent does not see to it, and a redeployment in place keeps server and key."""
    if kind is OperationKind.APPLY_CONFIG:
        return ("write_configuration", "stop", *UP) if restarts else ("write_configuration",)
    if kind is OperationKind.REDEPLOY and in_place:
        return REBUILD
    return tuple(name for name in _PLANS[kind] if name != "mint_llm_key" or llm_key == "minted")


def planned(names: Sequence[str]) -> list[PlannedStep]:
    """Steps with their titles, as people see them."""
    return [PlannedStep(name=name, title=TITLES[name]) for name in names]
