"""The leash: an engine never outlives the process that started it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest
from tests.engines.requirements import require_root

from clawdeploy_cli.engines.leash import leashed

STARTER = "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()"
SLEEP = ["sleep", "60"]


@pytest.fixture
def starter() -> Generator[subprocess.Popen[bytes], None, None]:
    """A process that started a leashed engine and waits for it."""
    process = subprocess.Popen([sys.executable, "-c", STARTER, *leashed(SLEEP)])
    yield process
    process.kill()
    process.wait()


def engine_of(starter: subprocess.Popen[bytes]) -> psutil.Process:
    """Wait until the leash has become the engine."""
    while True:
        children = psutil.Process(starter.pid).children()
        if children and children[0].cmdline() == SLEEP:
            return children[0]
        time.sleep(0.02)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_an_engine_ends_with_its_starter(starter: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """INVARIANT: whatever ends the starter ends what it started."""
    engine = engine_of(starter)
    starter.send_signal(how)
    starter.wait()
    engine.wait(10)


@pytest.mark.timeout(30)
def test_a_leashed_engine_leads_its_own_session(starter: subprocess.Popen[bytes]) -> None:
    """A terminal's Ctrl-C reaches the starter, which ends its children in order."""
    engine = engine_of(starter)
    assert os.getsid(engine.pid) == engine.pid


def test_a_named_account_keeps_nothing_of_root() -> None:
    require_root()
    status = ["cat", "/proc/self/status"]
    result = subprocess.run(leashed(status, user="nobody"), check=True, capture_output=True, text=True)
    fields = dict(line.split(":\t", 1) for line in result.stdout.splitlines() if ":\t" in line)
    assert set(fields["Uid"].split()) == {"65534"}
    assert set(fields["Gid"].split()) == {"65534"}
    assert fields["Groups"].split() in ([], ["65534"])
    assert int(fields["CapPrm"], 16) == 0


def test_the_leash_runs_in_a_folder_that_everybody_may_enter(tmp_path: Path) -> None:
    result = subprocess.run(leashed(["pwd"]), check=True, capture_output=True, text=True, cwd=tmp_path)
    assert result.stdout == "/\n"
