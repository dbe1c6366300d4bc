"""From what the cloud and the server's agent say to a server as the platform sees it; pure."""

from datetime import timedelta

from clawdeploy_provisioner.on_server.registry import AgentView
from clawdeploy_provisioner.providers.cloud.account import Machine
from clawdeploy_provisioner.providers.protocol import Exit, Server, ServerState

_MISSED = 3


def is_heard(agent: AgentView | None, *, heartbeat: timedelta) -> bool:
    """Whether the agent has been heard of within three heartbeats."""
    return agent is not None and agent.age is not None and agent.age <= heartbeat * _MISSED


def as_server(machine: Machine, agent: AgentView | None, *, heartbeat: timedelta) -> Server:
    """The cloud decides whether the machine is on, the agent what runs on it; silence of three heartbeats is not knowing."""
    state, detail = machine.state, None
    heard = is_heard(agent, heartbeat=heartbeat)
    if state is ServerState.RUNNING and agent is not None and agent.age is not None:
        state, detail = _by_agent(agent) if heard else (ServerState.UNKNOWN, _silent(agent.age))
    report = agent.heartbeat if agent is not None else None
    return Server(
        server_id=machine.server_id,
        instance_id=machine.instance_id,
        provider_ref=machine.ref,
        state=state,
        host=machine.host,
        created_at=machine.created_at,
        detail=detail,
        ready=heard and agent is not None and agent.state == "ready",
        memory_bytes=report.memory_used_bytes if report else None,
        disk_free_bytes=report.disk_free_bytes if report else None,
        restarts=report.gateway.restarts if report else 0,
        exited=_exit(agent) if agent is not None and agent.state == "failed" else None,
        reachable=heard and agent is not None and agent.installed,
        progress=report.gateway.detail if report else None,
        models=frozenset(report.models) if report else frozenset(),
    )


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
