"""Homes, settings and ports."""

import os
import socket
from pathlib import Path

import pytest

from clawdeploy_cli.client.connect import platform_url
from clawdeploy_cli.errors import Refused, UsageProblem
from clawdeploy_cli.home import Home, open_home, untraversable
from clawdeploy_cli.ports import hold, is_free, load_ports, settle_ports
from clawdeploy_cli.settings import CliSettings, load_settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliSettings:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLAWDEPLOY_PORT", str(_free_port()))
    return load_settings()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def made(path: Path) -> Home:
    home = Home(path)
    home.ensure()
    return home


def test_nobody_else_can_list_a_home(tmp_path: Path) -> None:
    home = made(tmp_path / "home")
    assert home.path.stat().st_mode & 0o777 == (0o711 if os.geteuid() == 0 else 0o700)
    assert home.logs.stat().st_mode & 0o777 == 0o700
    assert home.exists


def test_tools_may_be_shared_in_a_folder_that_is_not_there_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAWDEPLOY_TOOLS_DIR", str(tmp_path / "built" / "tools"))
    home = Home(tmp_path / "home")
    home.ensure()
    assert home.tools == tmp_path / "built" / "tools"
    assert home.tools.is_dir()


def test_a_folder_with_other_things_in_it_is_not_taken_for_a_home(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(Refused):
        Home(tmp_path).ensure()


@pytest.mark.parametrize("path", ["/", "~"])
def test_some_folders_can_never_be_a_home(path: str) -> None:
    with pytest.raises(UsageProblem):
        open_home(Path(path))


def test_a_closed_folder_on_the_way_is_found(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "inside").mkdir(parents=True)
    closed.chmod(0o700)
    found = untraversable(closed / "inside")
    assert found is not None
    assert closed.is_relative_to(found)


def test_settings_come_from_dotenv_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLAWDEPLOY_PORT", raising=False)
    (tmp_path / ".env").write_text("CLAWDEPLOY_PORT=9001\nCLAWDEPLOY_URL=http://dotenv.example\n")
    monkeypatch.setenv("CLAWDEPLOY_URL", "http://environment.example")
    settings = load_settings()
    assert (settings.port, settings.url) == (9001, "http://environment.example")


def test_a_persons_own_home_and_port_are_not_the_platforms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLAWDEPLOY_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("PORT", "3000")
    assert str(load_settings().home) != "/home/somebody"
    assert load_settings().port != 3000


def test_a_wrong_setting_names_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLAWDEPLOY_PORT", "many")
    with pytest.raises(UsageProblem, match="CLAWDEPLOY_PORT"):
        load_settings()


def test_ports_are_chosen_free_once_and_remembered(settings: CliSettings, tmp_path: Path) -> None:
    home = made(tmp_path / "home")
    ports = settle_ports(home, settings)
    assert settle_ports(home, settings) == ports == load_ports(home.ports_file)
    assert len({ports.gateway, ports.postgres, ports.broker, ports.provisioner, ports.monitor, ports.billing}) == 6


def test_an_internal_port_that_was_taken_meanwhile_is_chosen_anew(settings: CliSettings, tmp_path: Path) -> None:
    home = made(tmp_path / "home")
    before = settle_ports(home, settings)
    with hold(before.monitor):
        after = settle_ports(home, settings)
    assert after.monitor != before.monitor
    assert after.billing == before.billing


def test_the_port_agents_know_is_not_silently_changed(settings: CliSettings, tmp_path: Path) -> None:
    home = made(tmp_path / "home")
    before = settle_ports(home, settings)
    with hold(before.stand_in), pytest.raises(Refused):
        settle_ports(home, settings)


def test_a_taken_gateway_port_is_refused_with_what_to_do(settings: CliSettings, tmp_path: Path) -> None:
    home = made(tmp_path / "home")
    assert settings.port is not None
    with hold(settings.port), pytest.raises(Refused, match=str(settings.port)) as caught:
        settle_ports(home, settings)
    assert "CLAWDEPLOY_PORT" in (caught.value.hint or "")


def test_two_running_homes_have_different_blocks_for_agents(settings: CliSettings, tmp_path: Path) -> None:
    first = settle_ports(made(tmp_path / "first"), settings)
    with hold(first.claim):
        for number in range(6):
            other = settle_ports(made(tmp_path / f"other{number}"), settings)
            assert other.instances_first >= first.claim or other.claim <= first.instances_first


def test_a_held_port_is_not_free() -> None:
    port = _free_port()
    assert is_free(port)
    with hold(port):
        assert not is_free(port)


def test_commands_find_the_gateway_where_it_was_started(
    settings: CliSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = made(tmp_path / "home")
    ports = settle_ports(home, settings)
    monkeypatch.delenv("CLAWDEPLOY_PORT")
    monkeypatch.setenv("CLAWDEPLOY_HOME", str(home.path))
    assert platform_url(load_settings()) == f"http://127.0.0.1:{ports.gateway}"
