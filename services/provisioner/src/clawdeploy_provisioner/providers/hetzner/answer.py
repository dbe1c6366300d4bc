"""From what Hetzner and the server's agent say to a server as the platform sees it; pure."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from clawdeploy_provisioner.on_server.registry import AgentView
from clawdeploy_provisioner.providers.protocol import Exit, Server, ServerState

SERVER_LABEL, INSTANCE_LABEL, PLATFORM_LABEL = "clawdeploy.server", "clawdeploy.instance", "clawdeploy.platform"
MISSED = 3
_STATES = {
    "running": ServerState.RUNNING,
    "off": ServerState.OFF,
    "stopping": ServerState.OFF,
    "deleting": ServerState.GONE,
    "unknown": ServerState.UNKNOWN,
}


def server_id_of(found: dict[str, Any]) -> UUID:
    """Our id of a labelled server; raises KeyError, ValueError."""
    return UUID(found["labels"][SERVER_LABEL])


def as_server(found: dict[str, Any], agent: AgentView | None, *, heartbeat: timedelta) -> Server:
    """Hetzner decides whether the machine is on, the agent what runs on it; silence of three heartbeats is not knowing."""
    state, detail = _STATES.get(found["status"], ServerState.CREATING), None
    heard = agent is not None and agent.age is not None and agent.age <= heartbeat * MISSED
    if state is ServerState.RUNNING and agent is not None and agent.age is not None:
        state, detail = _by_agent(agent) if heard else (ServerState.UNKNOWN, _silent(agent.age))
    report = agent.heartbeat if agent is not None else None
    instance = found["labels"].get(INSTANCE_LABEL)
    return Server(
        server_id=server_id_of(found),
        instance_id=UUID(instance) if instance else None,
        provider_ref=str(found["id"]),
        state=state,
        host=_ipv4(found),
        created_at=datetime.fromisoformat(found["created"]),
        detail=detail,
        ready=heard and agent is not None and agent.state == "ready",
        memory_bytes=report.memory_used_bytes if report else None,
        disk_free_bytes=report.disk_free_bytes if report else None,
        restarts=report.gateway.restarts if report else 0,
        exited=_exit(agent) if agent is not None and agent.state == "failed" else None,
        reachable=heard and agent is not None and agent.installed,
        progress=report.gateway.detail if report else None,
        models=frozenset(report.models) if report else frozenset(),
        channels=report.channels if report else {},
    )


def _ipv4(found: dict[str, Any]) -> str | None:
    ipv4: dict[str, Any] | None = found["public_net"]["ipv4"]
    return None if ipv4 is None else ipv4["ip"]


def _by_agent(agent: AgentView) -> tuple[ServerState, str | None]:
    if agent.state == "failed" and agent.heartbeat is not None:
        return ServerState.ERROR, agent.heartbeat.gateway.detail or "OpenClaw ended and is not restarted."
    if agent.state == "stopped" and agent.wanted == "stopped":
        return ServerState.OFF, None
    return ServerState.RUNNING, None


def _silent(age: timedelta) -> str:
    return f"The server's agent has not been heard of for {age.total_seconds():.0f} s."


def _exit(agent: AgentView) -> Exit:
    lines = agent.heartbeat.gateway.last_lines if agent.heartbeat else []
    return Exit(exit_code=None, last_lines=lines, before_ready=True)
