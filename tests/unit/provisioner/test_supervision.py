"""What supervision decides, from what was seen."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clawdeploy_common.ids import new_id
from clawdeploy_provisioner.providers.process import procfs
from clawdeploy_provisioner.providers.process.answer import as_server
from clawdeploy_provisioner.providers.process.cell import Cell
from clawdeploy_provisioner.providers.process.directory import ServerDirectory
from clawdeploy_provisioner.providers.process.procfs import Process
from clawdeploy_provisioner.providers.process.record import Failure, Launch, ServerRecord
from clawdeploy_provisioner.providers.process.settings import ProcessSettings
from clawdeploy_provisioner.providers.process.sight import Sight
from clawdeploy_provisioner.providers.process.supervision import Verdict, decide
from clawdeploy_provisioner.providers.protocol import ServerState

GATEWAY = Process(pid=4711, parent=1, uid=60_706, start_ticks=5, resident_bytes=900 * 2**20)
HELPER = Process(pid=4712, parent=4711, uid=60_706, start_ticks=6, resident_bytes=200 * 2**20)


def launch(*, automatic: bool = False, boot: str | None = None) -> Launch:
    return Launch(
        pid=4711, start_ticks=5, boot_id=boot or procfs.boot_id(), started_at=datetime.now(UTC), automatic=automatic
    )


def sight(
    folder: Path,
    *,
    running: bool,
    ready: bool = True,
    disk_free: int = 10**12,
    restarted_minutes_ago: Sequence[float] = (),
    **changes: Any,
) -> Sight:
    server_id = new_id()
    fields: dict[str, Any] = {
        "server_id": server_id,
        "instance_id": new_id(),
        "account_id": new_id(),
        "operation_id": new_id(),
        "slug": "a",
        "region": "local",
        "memory_mb": 2048,
        "cpu_millis": 1000,
        "port": 21_000,
        "uid": None,
        "created_at": datetime.now(UTC),
        "desired": "running",
        "launch": launch(),
        "restarts": [datetime.now(UTC) - timedelta(minutes=minutes) for minutes in restarted_minutes_ago],
    }
    record = ServerRecord(**(fields | changes))
    files = ServerDirectory(folder / str(server_id))
    files.create(record)
    if ready and record.launch is not None:
        files.mark_ready(record.launch)
    return Sight(
        server_id=server_id,
        files=files,
        record=record,
        reservation=None,
        cell=Cell(server_id=str(server_id), directory=files.path, uid=None),
        members={GATEWAY.pid: GATEWAY, HELPER.pid: HELPER} if running else {},
        gateway=GATEWAY if running else None,
        disk_free=disk_free,
    )


@pytest.fixture
def settings(tmp_path: Path) -> ProcessSettings:
    return ProcessSettings(
        instances_dir=tmp_path, tools_dir=tmp_path / "tools", reservations_dir=tmp_path / "r", own_uids=False
    )


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        ({"running": True}, Verdict.NOTHING),
        ({"running": False, "desired": "stopped"}, Verdict.NOTHING),
        ({"running": False, "failure": Failure(reason="said")}, Verdict.NOTHING),
        ({"running": False}, Verdict.RESTART),
        ({"running": False, "restarted_minutes_ago": [1, 1]}, Verdict.RESTART),
        ({"running": False, "restarted_minutes_ago": [1, 1, 1]}, Verdict.GIVE_UP),
        ({"running": False, "restarted_minutes_ago": [6, 6, 6]}, Verdict.RESTART),
        ({"running": False, "ready": False}, Verdict.GIVE_UP),
        ({"running": False, "ready": False, "launch": launch(automatic=True)}, Verdict.RESTART),
        ({"running": False, "launch": launch(boot="another boot")}, Verdict.RESUME),
        ({"running": False, "launch": None}, Verdict.RESUME),
        ({"running": True, "memory_mb": 1000}, Verdict.STOP_FOR_MEMORY),
        ({"running": True, "disk_free": 1000}, Verdict.NOTE_FULL_DISK),
        ({"running": True, "disk_free": 1000, "disk_was_full": True}, Verdict.NOTHING),
        ({"running": True, "disk_was_full": True}, Verdict.RENEW_AFTER_FULL_DISK),
    ],
)
def test_each_sight_has_its_verdict(
    seen: dict[str, Any], verdict: Verdict, tmp_path: Path, settings: ProcessSettings
) -> None:
    assert decide(sight(tmp_path, **seen), settings).verdict is verdict


@pytest.mark.parametrize(
    ("seen", "state", "detail"),
    [
        ({"running": True}, ServerState.RUNNING, None),
        ({"running": True, "ready": False}, ServerState.RUNNING, "starting"),
        ({"running": False, "desired": "stopped"}, ServerState.OFF, None),
        ({"running": False}, ServerState.OFF, "it is not running and will be started again"),
        (
            {"running": False, "ready": False},
            ServerState.ERROR,
            "OpenClaw ended by itself (exit code None) before it was ready",
        ),
        (
            {"running": True, "disk_free": 5_000_000},
            ServerState.RUNNING,
            "the disk is almost full (5 MB free): answers may fail",
        ),
    ],
)
def test_what_is_shown_is_what_was_seen(
    seen: dict[str, Any], state: ServerState, detail: str | None, tmp_path: Path, settings: ProcessSettings
) -> None:
    server = as_server(sight(tmp_path, **seen), settings)

    assert (server.state, server.detail) == (state, detail)
    assert (server.memory_bytes == 1100 * 2**20) is seen["running"]


def test_a_server_without_its_directory_is_gone_whatever_still_runs(tmp_path: Path, settings: ProcessSettings) -> None:
    server = as_server(dataclasses.replace(sight(tmp_path, running=True), record=None), settings)

    assert (server.state, server.detail) == (ServerState.GONE, "its directory is gone; 2 of its processes still run")
