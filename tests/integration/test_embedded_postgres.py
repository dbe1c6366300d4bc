"""The embedded server itself: where its data may live, who may reach it, what a stale lock means."""

import asyncio
import os
import stat
from pathlib import Path

import asyncpg
import psutil
from tests.engines.requirements import require_root
from tests.engines.wheels import RunningPostgres

from clawdeploy_cli.engines.placement import SYSTEM_HOME


async def answers(postgres: RunningPostgres) -> int:
    connection = await asyncpg.connect(postgres.admin_url)
    try:
        return await connection.fetchval("SELECT 1")
    finally:
        await connection.close()


async def test_a_closed_home_stays_closed_and_the_data_go_elsewhere(engine_folder: Path) -> None:
    require_root()
    home = engine_folder / "home"
    home.mkdir(mode=0o700)
    postgres = RunningPostgres(home)
    try:
        await postgres.start()
        assert await answers(postgres) == 1
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        placement = postgres.server.placement
        assert placement.data_dir.is_relative_to(SYSTEM_HOME)
        assert str(placement.data_dir) in (placement.notice or "")
        assert (home / "postgres").resolve() == placement.data_dir
        assert stat.S_IMODE(placement.data_dir.stat().st_mode) == 0o700
    finally:
        postgres.remove()
    assert not placement.data_dir.parent.exists()
    assert not (home / "postgres").is_symlink()


async def test_the_server_never_runs_as_root(own_postgres: RunningPostgres) -> None:
    assert psutil.Process(own_postgres.process.pid).uids().effective != 0


async def test_tcp_on_the_loopback_address_is_the_only_door(own_postgres: RunningPostgres) -> None:
    sockets = psutil.Process(own_postgres.process.pid).net_connections("all")
    addresses = {str(next(iter(each.laddr))) for each in sockets if each.status == psutil.CONN_LISTEN}
    assert addresses == {"127.0.0.1"}
    assert not [each for each in sockets if isinstance(each.laddr, str) and each.laddr]


async def test_no_password_shows_in_the_process_list(own_postgres: RunningPostgres) -> None:
    password = own_postgres.server.password_file.read_text()
    process = psutil.Process(own_postgres.process.pid)
    assert password not in " ".join(process.cmdline())
    assert password not in " ".join(process.environ().values())
    assert password not in own_postgres.process.log.read_text()


async def test_a_lock_whose_number_now_belongs_to_something_else_is_forgotten(own_postgres: RunningPostgres) -> None:
    own_postgres.stop()
    lock = own_postgres.server.placement.data_dir / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n")
    await own_postgres.start()
    assert await answers(own_postgres) == 1


async def test_an_initdb_that_was_killed_half_way_is_done_again(engine_folder: Path) -> None:
    postgres = RunningPostgres(engine_folder / "server")
    half = engine_folder / "server" / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    try:
        await postgres.start()
        assert await answers(postgres) == 1
        assert not half.exists()
    finally:
        postgres.remove()


async def test_a_stopped_server_is_found_again_with_its_data(own_postgres: RunningPostgres) -> None:
    connection = await asyncpg.connect(own_postgres.admin_url)
    await connection.execute("CREATE TABLE kept AS SELECT 7 AS id")
    await connection.close()
    await asyncio.to_thread(own_postgres.stop)
    await own_postgres.start()
    connection = await asyncpg.connect(own_postgres.admin_url)
    assert await connection.fetchval("SELECT id FROM kept") == 7
    await connection.close()
