"""How what was seen of a server reads as the provider's answer."""

from clawdeploy_provisioner.providers.process import cell as cells
from clawdeploy_provisioner.providers.process.record import Failure, ServerRecord
from clawdeploy_provisioner.providers.process.settings import ProcessSettings
from clawdeploy_provisioner.providers.process.sight import HOST, Sight, failure_now, is_disk_low, recent
from clawdeploy_provisioner.providers.process.supervision import Verdict, decide
from clawdeploy_provisioner.providers.protocol import STARTING, Address, Exit, Server, ServerState


def as_server(sight: Sight, settings: ProcessSettings) -> Server:
    """The provider's answer; blocking. Without a directory the server is gone, whatever still runs."""
    record = sight.record
    if record is None:
        detail = (
            f"its directory is gone; {len(sight.members)} of its processes still run"
            if sight.members
            else "its directory is gone"
        )
        return Server(
            server_id=sight.server_id,
            instance_id=None,
            provider_ref=str(sight.server_id),
            state=ServerState.GONE,
            detail=detail,
        )
    failure = record.failure or _unreported(sight, settings)
    state, detail = (ServerState.ERROR, failure.reason) if failure else _state(sight, record, settings)
    return Server(
        server_id=record.server_id,
        instance_id=record.instance_id,
        provider_ref=str(sight.server_id),
        state=state,
        address=Address(host=HOST, port=record.port),
        created_at=record.created_at,
        started_at=record.launch.started_at if record.launch is not None and sight.gateway is not None else None,
        detail=detail,
        ready=sight.ready,
        memory_bytes=cells.resident_bytes(sight.members),
        disk_free_bytes=sight.disk_free,
        restarts=len(recent(record, settings)),
        exited=_exit(failure),
    )


def _state(sight: Sight, record: ServerRecord, settings: ProcessSettings) -> tuple[ServerState, str | None]:
    if sight.gateway is None:
        wanted = "it is not running and will be started again" if record.desired == "running" else None
        return ServerState.OFF, wanted
    if is_disk_low(sight, settings):
        return (
            ServerState.RUNNING,
            f"the disk is almost full ({(sight.disk_free or 0) // 1_000_000} MB free): answers may fail",
        )
    if record.disk_was_full:
        return ServerState.RUNNING, "the disk was full: a restart is due, until then answers may fail"
    return ServerState.RUNNING, None if sight.ready else STARTING


def _unreported(sight: Sight, settings: ProcessSettings) -> Failure | None:
    """What supervision will report in its next round; who waits for a start must not wait for that."""
    decision = decide(sight, settings)
    return failure_now(sight, decision.reason) if decision.verdict is Verdict.GIVE_UP else None


def _exit(failure: Failure | None) -> Exit | None:
    if failure is None:
        return None
    return Exit(exit_code=failure.exit_code, last_lines=failure.last_lines, before_ready=failure.before_ready)
