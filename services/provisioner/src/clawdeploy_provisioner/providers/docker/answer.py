"""How what was seen of a cell reads as the provider's answer; pure."""

from clawdeploy_provisioner.providers.docker.record import Failure
from clawdeploy_provisioner.providers.docker.settings import DockerSettings
from clawdeploy_provisioner.providers.docker.sight import Container, Sight
from clawdeploy_provisioner.providers.protocol import STARTING, Address, Exit, Server, ServerState

_ANYHOW = "; a start makes it again from the state that is kept"


def as_server(
    sight: Sight,
    settings: DockerSettings,
    *,
    publish: str,
    has_image: bool = True,
    restarts: int = 0,
    failure: Failure | None = None,
    memory_bytes: int | None = None,
    disk_free_bytes: int | None = None,
) -> Server:
    """The provider's answer; ``failure`` is what has just been found, beside what is recorded."""
    failure = sight.kept.record.failure or failure
    state, detail = _state(sight, has_image=has_image) if failure is None else (ServerState.ERROR, failure.reason)
    container = sight.container
    up = container is not None and container.is_up
    if detail is None and state is ServerState.RUNNING:
        detail = _complaint(sight, settings, disk_free_bytes)
    return Server(
        server_id=sight.server_id,
        instance_id=None if sight.anchor is None else sight.anchor.instance_id,
        provider_ref=f"{sight.engine.name}/{sight.anchor.container}" if sight.anchor else str(sight.server_id),
        state=state,
        address=None if sight.port is None else Address(host=publish, port=sight.port),
        created_at=None if sight.anchor is None else sight.anchor.created_at,
        started_at=container.started_at if up and container is not None else None,
        detail=detail,
        ready=sight.is_ready,
        memory_bytes=memory_bytes,
        disk_free_bytes=disk_free_bytes,
        restarts=restarts,
        exited=None if failure is None else _exit(failure),
        is_openclaw=container is None or container.profile.is_openclaw,
    )


def _state(sight: Sight, *, has_image: bool) -> tuple[ServerState, str | None]:
    if not sight.has_state:
        return ServerState.GONE, "the volume with its state is gone"
    container = sight.container
    if container is None and not has_image:
        return ServerState.CREATING, "its image is not on the engine yet"
    if container is None or container.status in {"removing", "dead"}:
        return ServerState.ERROR, f"its container is not there{_ANYHOW}"
    return (ServerState.RUNNING, None) if container.is_up else (ServerState.OFF, _why_off(sight, container))


def _why_off(sight: Sight, container: Container) -> str | None:
    match container.status:
        case "restarting":
            return f"it ended (exit code {container.exit_code}) and is being restarted"
        case "paused":
            return "its container was paused outside the platform; a start lets it go on"
        case _ if sight.kept.record.desired == "stopped" or sight.kept.record.parked:
            return None
        case _ if container.was_out_of_memory:
            return "it used more memory than its plan has"
        case _:
            return f"it was stopped outside the platform (exit code {container.exit_code})"


def _complaint(sight: Sight, settings: DockerSettings, disk_free: int | None) -> str | None:
    """What is wrong with, or to be known of, a cell that runs."""
    container, anchor = sight.container, sight.anchor
    if disk_free is not None and disk_free < settings.disk_minimum_bytes:
        return f"the engine's disk is almost full ({disk_free // 1_000_000} MB free): answers may fail"
    if sight.kept.record.disk_was_full:
        return "the disk was full: a restart is due, until then answers may fail"
    if container is not None and anchor is not None and container.name != anchor.container:
        return f"its container was renamed to {container.name}"
    return None if sight.is_ready else STARTING


def _exit(failure: Failure) -> Exit:
    return Exit(exit_code=failure.exit_code, last_lines=failure.last_lines, before_ready=failure.before_ready)
