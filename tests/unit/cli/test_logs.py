"""Log files of the platform's processes."""

import os
from pathlib import Path

from clawdeploy_cli.supervisor.logs import last_lines, open_log, rotate


def test_a_log_is_rotated_under_a_process_that_goes_on_writing(tmp_path: Path) -> None:
    path = tmp_path / "api.log"
    descriptor = open_log(path)
    os.write(descriptor, b"old\n" * 10)
    assert rotate(path, max_bytes=20)
    os.write(descriptor, b"new\n")
    os.close(descriptor)
    assert path.read_bytes() == b"new\n"
    assert (tmp_path / "api.log.1").read_bytes() == b"old\n" * 10


def test_only_so_many_old_logs_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "api.log"
    for number in range(6):
        path.write_text(f"{number}\n")
        rotate(path, max_bytes=1, keep=3)
    kept = {one.name: one.read_text() for one in tmp_path.iterdir()}
    assert kept == {"api.log": "", "api.log.1": "5\n", "api.log.2": "4\n", "api.log.3": "3\n"}


def test_a_small_log_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "api.log"
    path.write_text("short\n")
    assert not rotate(path)
    assert last_lines(path) == ["short"]
    assert last_lines(tmp_path / "none.log") == []
