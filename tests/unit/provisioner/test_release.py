"""Putting a machine of somebody's own back, on a root of the test's own."""

import json
import os
import pwd
from pathlib import Path

import pytest

from clawdeploy_provisioner.on_server import release
from clawdeploy_provisioner.on_server.user_data import FirstStart, files_of

GUEST = FirstStart(
    server_id="s", control_plane_url="https://x.test", registration_token="t", memory_mb=1024, guest=True
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(release, "ROOT", tmp_path)
    monkeypatch.setattr(release, "USER", "nobody-of-this-name")
    monkeypatch.setattr(release, "home", lambda: tmp_path / "home/ada")
    return tmp_path


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []

    def note(*argv: str) -> None:
        found.append(argv)

    monkeypatch.setattr(release, "run", note)
    return found


def settle(root: Path) -> None:
    """What an agent's bootstrap leaves on a machine, beside what was there before."""
    for file in files_of(GUEST):
        path = root / file.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.content)
    for folder in (*release.FOLDERS, "home/ada"):
        (root / folder / "deep").mkdir(parents=True, exist_ok=True)
    (root / "home/ada/.clawdeploy-0123456789abcdef").write_text("a file that was cut short on its way")
    links = root / "usr/local/bin"
    links.mkdir(parents=True)
    for name in release.LINKS:
        (links / name).symlink_to("/opt/node/bin/gone")
    (links / "theirs").write_text("a tool of the machine's owner")
    (root / "etc/fstab").write_text("theirs")


def test_a_guest_leaves_firewall_swap_and_updates_alone() -> None:
    """INVARIANT: on somebody's own machine nothing is changed that the release does not put back."""
    files = {file.path: file.content for file in files_of(GUEST)}
    values = json.loads(files["/etc/clawdeploy/bootstrap.json"])
    assert (values["open_ports"], values["swap_mb"], values["packages"]) == ([], 0, ["ca-certificates"])
    named = {str(path) for path in release.ours()}
    assert [path for path in files if not any(path == name or path.startswith(f"{name}/") for name in named)] == []


def test_a_machine_with_an_agent_on_it_is_not_free_and_is_left_as_it_is(root: Path, ran: list[tuple[str, ...]]) -> None:
    settle(root)
    before = sorted(str(path) for path in root.rglob("*"))
    assert release.main(["--look"]) == 1
    assert (sorted(str(path) for path in root.rglob("*")), ran) == (before, [])


def test_what_an_agent_brought_is_removed_and_nothing_else(
    root: Path, ran: list[tuple[str, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    settle(root)
    assert release.main([]) == 0
    assert json.loads(capsys.readouterr().out) == {"left": []}
    (root / "run/systemd/system").mkdir(parents=True)
    assert release.main(["--look"]) == 0
    assert json.loads(capsys.readouterr().out)["memory_mb"] > 0
    files = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() or path.is_symlink())
    assert files == ["etc/fstab", "usr/local/bin/theirs"]
    assert [argv[:3] for argv in ran if "disable" in argv] == [("systemctl", "disable", "--now")] * len(release.UNITS)
    assert release.main([]) == 0, "it is safe to repeat"


def test_whoever_logged_in_has_the_home_in_which_files_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    me = pwd.getpwuid(os.getuid())
    monkeypatch.setenv("SUDO_USER", me.pw_name)
    assert release.home() == Path(me.pw_dir)
    monkeypatch.setenv("SUDO_USER", "nobody-of-this-name")
    assert release.home() == Path("/root")


def test_a_machine_whose_python_is_too_old_says_so(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "PYTHON", (4, 0))
    assert release.main(["--look"]) == 1
    assert "Python 3.10" in json.loads(capsys.readouterr().out)["lacks"]


def test_a_machine_without_systemd_or_apt_is_not_free(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(root))
    assert release.main(["--look"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["left"], answer["lacks"]) == ([], ["systemd", "apt-get and dpkg (Debian, Ubuntu)"])
    assert list(root.iterdir()) == []


def test_a_folder_that_was_made_a_link_is_not_followed(root: Path, ran: list[tuple[str, ...]]) -> None:
    settle(root)
    (root / "home" / "photo").write_text("theirs")
    home = root / "var/lib/openclaw"
    (home / "deep").rmdir()
    home.rmdir()
    home.symlink_to(root / "home")
    assert release.main([]) == 0
    assert (root / "home" / "photo").read_text() == "theirs"
    assert ran


def test_what_the_account_left_where_everybody_may_write_is_found(root: Path) -> None:
    for folder in release.SCRATCH:
        (root / folder).mkdir(parents=True)
        (root / folder / "left").mkdir()
    assert len(release.leavings(os.getuid())) == len(release.SCRATCH)
    assert release.leavings(os.getuid() + 1) == []


def test_an_accounts_processes_are_those_of_its_number() -> None:
    assert os.getpid() in release.processes(os.getuid())
    assert os.getpid() not in release.processes(os.getuid() + 1)
