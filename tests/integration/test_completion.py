"""The Tab key: commands and instances in every shell, within a moment, and never an error."""

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.integration.small_platform import API_KEY, SmallPlatform, serving

CLAW = Path(sys.executable).parent / "claw"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    search_path = f"{CLAW.parent}{os.pathsep}{os.environ['PATH']}"
    home = {"HOME": str(tmp_path), "CLAWDEPLOY_HOME": str(tmp_path / "platform")}
    return {**home, "PATH": search_path, "LANG": "C.UTF-8", "CLAWDEPLOY_ENV_FILE": str(tmp_path / ".env")}


@pytest.fixture
def signed_in(environment: dict[str, str]) -> Generator[dict[str, str]]:
    """An environment that reaches a platform with two live instances and a deleted one."""
    platform = SmallPlatform()
    for name, status in (("demo", "running"), ("docs", "stopped")):
        platform.instances[name] = {"id": name, "name": name, "slug": name, "status": status}
    with serving(platform) as url:
        yield {**environment, "CLAWDEPLOY_URL": url, "CLAWDEPLOY_API_KEY": API_KEY}


def bash(script: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["bash", "--norc", "-c", script]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)


def offered(line: str, shell: str, environment: dict[str, str]) -> list[str]:
    """What a shell is offered when Tab is pressed at the end of a line; nothing may be said besides."""
    words = line.split(" ")
    given = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    command = [str(CLAW)]
    variables = {**environment, **given, "_CLAW_COMPLETE": f"complete_{shell}"}
    result = subprocess.run(
        command, env=variables, capture_output=True, text=True, check=False, timeout=50
    )  # a command would wait 60 s
    assert result.stderr == ""
    return result.stdout.split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_is_offered_commands_and_instances(shell: str, signed_in: dict[str, str]) -> None:
    assert any("restart" in word for word in offered("claw rest", shell, signed_in))
    names = " ".join(offered("claw restart d", shell, signed_in))
    assert "demo" in names
    assert "docs" in names
    assert "demo" not in " ".join(offered("claw restart do", shell, signed_in))


def test_services_are_offered(environment: dict[str, str]) -> None:
    assert offered("claw dead-letters retry pro", "bash", environment) == ["provisioner"]


def test_without_a_platform_nothing_is_offered_and_nothing_said(environment: dict[str, str]) -> None:
    assert offered("claw restart d", "bash", environment) == []


def test_a_platform_that_does_not_answer_is_not_waited_for(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert (
            offered("claw restart d", "bash", {**environment, "CLAWDEPLOY_URL": url, "CLAWDEPLOY_API_KEY": "k"}) == []
        )


def test_what_is_installed_works_in_a_real_bash(signed_in: dict[str, str]) -> None:
    claw = shlex.quote(str(CLAW))
    bash(f"{claw} --install-completion; true", signed_in)
    startup = Path(signed_in["HOME"]) / ".bashrc"
    pressed = "COMP_WORDS=(claw stop d); COMP_CWORD=2; _claw_completion claw; echo ${COMPREPLY[@]}"
    assert bash(f"source {shlex.quote(str(startup))}; {pressed}", signed_in).stdout.split() == ["demo", "docs"]
    shown = bash(f"{claw} --show-completion; true", signed_in).stdout
    assert "complete -o default -F _claw_completion claw" in shown
