"""Files that appear whole, and locks."""

import asyncio
import os
import stat
from pathlib import Path

import pytest

from clawdeploy_provisioner.disk import locked, try_lock, write_atomically


def test_a_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    write_atomically(tmp_path, "f", b"one")
    write_atomically(tmp_path, "f", b"two")

    assert (tmp_path / "f").read_bytes() == b"two"
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_directory_replaced_by_a_link_is_not_followed(tmp_path: Path) -> None:
    """INVARIANT: an agent cannot make the platform write somewhere else."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "state").symlink_to(elsewhere)

    with pytest.raises(OSError, match="state"):
        write_atomically(tmp_path / "state", "openclaw.json", b"{}")

    assert list(elsewhere.iterdir()) == []


def test_a_file_that_is_a_link_is_replaced_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / "f").symlink_to(victim)

    write_atomically(tmp_path, "f", b"new")

    assert victim.read_text() == "untouched"
    assert not (tmp_path / "f").is_symlink()


async def test_one_holder_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    async with locked(path, patience=1):
        assert try_lock(path) is None
        with pytest.raises(TimeoutError):
            async with locked(path, patience=0.1):
                pass
    handle = try_lock(path)
    assert handle is not None
    os.close(handle)


async def test_a_lock_its_holder_removed_is_taken_afresh(tmp_path: Path) -> None:
    path, order = tmp_path / "lock", list[str]()

    async def second() -> None:
        async with locked(path, patience=5):
            order.append("second")
            assert try_lock(path) is None

    async with locked(path, patience=1):
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0.1)
        path.unlink()
        order.append("first")
    await waiting
    assert order == ["first", "second"]
