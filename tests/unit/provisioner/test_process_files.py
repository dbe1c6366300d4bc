"""The log a gateway writes, ports and uids that are handed out, and directories instances can reach."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from clawdeploy_common.ids import new_id
from clawdeploy_common.redaction import Redactor
from clawdeploy_provisioner.providers.process import procfs
from clawdeploy_provisioner.providers.process.journal import follow, last_lines, rotate, rotated
from clawdeploy_provisioner.providers.process.lifecycle import heap_flags
from clawdeploy_provisioner.providers.process.reservations import Reservations
from clawdeploy_provisioner.providers.process.settings import ProcessSettings, reachable
from clawdeploy_provisioner.providers.protocol import ProviderUnavailable

PLAIN = Redactor()
PORT = 28_000


def settings(folder: Path, *, count: int = 3, own_uids: bool = False) -> ProcessSettings:
    return ProcessSettings(
        instances_dir=folder / "instances",
        tools_dir=folder / "tools",
        reservations_dir=folder / "reservations",
        port_first=PORT,
        port_count=count,
        own_uids=own_uids,
    )


def test_the_last_lines_reach_back_into_rotated_files(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    log.write_text("one\ntwo\n")
    assert rotate(log, above=4, kept=2)
    log.write_text("three\nsecret=hunter22\n")

    assert last_lines(log, count=3, redactor=Redactor(["hunter22"])) == ["two", "three", "secret=[redacted]"]
    assert last_lines(log, count=0, redactor=PLAIN) == []
    assert last_lines(tmp_path / "none", count=3, redactor=PLAIN) == []


def test_a_log_is_rotated_by_size_keeps_a_few_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    with log.open("a") as writer:
        for number in range(5):
            writer.write(f"line {number} {'x' * 100}\n")
            writer.flush()
            assert rotate(log, above=50, kept=2)
            assert not rotate(log, above=50, kept=2)
        writer.write("after\n")

    assert log.read_text() == "after\n"
    assert [rotated(log, n).exists() for n in (1, 2, 3)] == [True, True, False]
    assert rotated(log, 1).read_text().startswith("line 4")


def test_a_very_long_line_is_cut_after_its_secrets_are_gone(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    log.write_text("x" * 7_998 + "hunter22" + "y" * 100 + "\n")

    (line,) = last_lines(log, count=1, redactor=Redactor(["hunter22"]))

    assert "hun" not in line
    assert line.endswith("…")


async def test_following_sees_whole_lines_over_a_rotation_and_ends_with_the_file(tmp_path: Path) -> None:
    log, seen = tmp_path / "gateway.log", list[str]()
    log.write_text("before\n")

    async def collect() -> None:
        seen.extend([line async for line in follow(log, redactor=PLAIN)])

    task = asyncio.create_task(collect())
    with log.open("a") as writer:
        for text in ("half", " a line\n", "next\n"):
            await asyncio.sleep(0.4)
            writer.write(text)
            writer.flush()
        await asyncio.sleep(0.4)
        rotate(log, above=1, kept=1)
        await asyncio.sleep(0.4)
        writer.write("new\n")
    await asyncio.sleep(0.4)
    log.unlink()
    await asyncio.wait_for(task, 5)

    assert seen == ["half a line", "next", "new"]


async def test_a_directory_keeps_its_port_and_no_two_share_one(tmp_path: Path) -> None:
    book = Reservations(settings(tmp_path))
    homes = [tmp_path / "instances" / str(n) for n in range(3)]

    first = [await book.reserve(home, server_id=new_id()) for home in homes]
    again = [await book.reserve(home, server_id=new_id()) for home in homes]

    assert again == first
    assert [entry.port for entry in first] == [PORT, PORT + 120, PORT + 240]


async def test_two_platforms_at_once_get_different_ports(tmp_path: Path) -> None:
    """INVARIANT: reservations are the machine's, not the platform's."""
    books = [Reservations(settings(tmp_path, count=10)) for _ in range(2)]

    entries = await asyncio.gather(*(books[n % 2].reserve(tmp_path / str(n), server_id=new_id()) for n in range(10)))

    assert len({entry.port for entry in entries}) == 10


async def test_a_port_somebody_listens_on_is_passed_over(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", PORT + 2))  # OpenClaw would want it: base + 2
        listener.listen()
        entry = await Reservations(settings(tmp_path)).reserve(tmp_path / "a", server_id=new_id())

    assert entry.port == PORT + 120


async def test_what_is_released_can_be_had_again_and_a_full_range_says_so(tmp_path: Path) -> None:
    book = Reservations(settings(tmp_path, count=1))
    (tmp_path / "a").mkdir()
    await book.reserve(tmp_path / "a", server_id=new_id())
    with pytest.raises(ProviderUnavailable):
        await book.reserve(tmp_path / "b", server_id=new_id())

    await book.release(tmp_path / "a")
    await book.release(tmp_path / "a")

    assert (await book.reserve(tmp_path / "b", server_id=new_id())).port == PORT


async def test_the_place_of_a_directory_that_is_no_more_is_given_away_only_when_nothing_else_is_left(
    tmp_path: Path,
) -> None:
    book = Reservations(settings(tmp_path, count=2))
    for name in ("removed", "kept"):
        await book.reserve(tmp_path / name, server_id=new_id())
    (tmp_path / "kept").mkdir()
    assert book.of(tmp_path / "removed") is not None

    assert (await book.reserve(tmp_path / "new", server_id=new_id())).port == PORT
    assert book.of(tmp_path / "removed") is None


async def test_a_uid_comes_back_as_late_as_possible(tmp_path: Path) -> None:
    book = Reservations(settings(tmp_path, own_uids=True))
    uids = list[int | None]()
    for name in ("a", "b", "c"):
        uids.append((await book.reserve(tmp_path / name, server_id=new_id())).uid)
        await book.release(tmp_path / name)

    assert len(set(uids)) == 3
    assert os.getuid() not in uids


def test_a_process_is_known_by_its_start_and_descends_from_its_parent() -> None:
    own, parent = procfs.read(os.getpid()), procfs.read(os.getppid())
    assert own is not None
    assert parent is not None
    assert own.parent == parent.pid
    assert own.start_ticks >= parent.start_ticks
    assert procfs.read(2**22 + 1) is None
    tree = {p.pid: p for p in (own, parent)}
    assert procfs.with_descendants({parent.pid}, tree) == {own.pid, parent.pid}
    assert procfs.with_descendants({own.pid}, tree) == {own.pid}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root moves a directory: nobody else gives instances other uids")
def test_a_directory_behind_a_closed_door_is_moved(tmp_path: Path) -> None:
    open_home, closed = Path("/tmp"), tmp_path / "closed"  # noqa: S108 - only looked at
    closed.mkdir(mode=0o700)

    assert reachable(open_home / "instances") == open_home / "instances"
    moved = reachable(closed / "instances")
    assert moved.parts[:4] == ("/", "var", "lib", "clawdeploy")
    assert moved.name == "instances"
    assert moved == reachable(closed / "instances")


@pytest.mark.parametrize(
    ("memory_mb", "roomy", "heap"), [(512, False, 320), (2048, False, 512), (2048, True, 768), (8192, False, 1024)]
)
def test_the_heap_follows_the_plan(memory_mb: int, roomy: bool, heap: int) -> None:
    assert heap_flags(memory_mb, roomy=roomy) == (f"--max-old-space-size={heap}", "--max-semi-space-size=4")
