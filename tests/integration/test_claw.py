"""`claw` against a gateway that answers as the public API does."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from tests.engines.ports import free_ports
from tests.integration.small_platform import API_KEY, INTERRUPT, SmallPlatform, now, serving
from typer.testing import CliRunner, Result

from clawdeploy_cli.main import app

CLAW = Path(sys.executable).with_name("claw")
SEEN = ("starting", "unhealthy", "not seen yet")


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[SmallPlatform]:
    small = SmallPlatform()
    with serving(small) as url:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("CLAWDEPLOY_URL", url)
        monkeypatch.setenv("CLAWDEPLOY_API_KEY", API_KEY)
        yield small


def claw(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=given)


def answer(result: Result) -> Any:
    """What a `--json` command printed: JSON, and nothing else on stdout."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_deploy_waits_and_tells_every_step(platform: SmallPlatform) -> None:
    result = claw("deploy", "demo", "--wait")
    assert result.exit_code == 0, result.output
    assert [line.split()[:2] for line in result.stderr.splitlines()[1:3]] == [["✔", "reserve"], ["✔", "start"]]
    assert result.stderr.splitlines()[-1].startswith("Done in ")


def test_deploy_with_json_prints_the_running_instance_and_nothing_else(platform: SmallPlatform) -> None:
    instance = answer(claw("deploy", "demo", "--wait", "--json"))
    assert (instance["name"], instance["status"]) == ("demo", "running")


def test_deploy_without_wait_says_how_to_follow(platform: SmallPlatform) -> None:
    result = claw("deploy", "demo")
    assert result.exit_code == 0
    assert "claw show demo" in result.stderr


def test_a_deploy_that_fails_says_why_and_ends_with_one(platform: SmallPlatform) -> None:
    platform.fails = True
    result = claw("deploy", "demo", "--wait", "--json")
    assert result.exit_code == 1
    assert "the disk is full" in result.stderr
    assert result.stdout == ""


def test_secrets_go_from_the_environment_into_the_body_only(
    platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "123:planted")
    monkeypatch.setenv("MY_KEY", "sk-planted")
    options = ("--secret-from-env", "bot_token=MY_TOKEN", "--secret-from-env", "api_key.openrouter=MY_KEY")
    result = claw("deploy", "demo", "--channel", "telegram", *options)
    assert platform.bodies[0]["bot_token"] == "123:planted"
    assert platform.bodies[0]["api_key"] == {"openrouter": "sk-planted"}
    assert "planted" not in result.output


def test_bad_input_is_one_sentence_and_wrong_usage(platform: SmallPlatform) -> None:
    result = claw("deploy", "demo", "--model", "nonsense")
    assert result.exit_code == 2
    assert result.stderr == "Error: Some fields are not valid (model: is not in the catalogue).\n"


def test_lists_answer_all_pages_with_items_and_next_cursor(platform: SmallPlatform) -> None:
    for name in ("a", "b", "c"):
        claw("deploy", name)
    listed = answer(claw("ls", "--json"))
    assert [item["name"] for item in listed["items"]] == ["a", "b", "c"]
    assert listed["next_cursor"] is None
    assert [line.split()[0] for line in claw("ls").stdout.splitlines()] == ["SLUG", "a", "b", "c"]


def test_an_instance_is_found_by_slug_name_or_id(platform: SmallPlatform) -> None:
    deployed = answer(claw("deploy", "Demo", "--json"))
    for word in ("demo", "Demo", deployed["id"]):
        assert answer(claw("show", word, "--json"))["id"] == deployed["id"]


def test_a_name_that_several_have_is_not_guessed(platform: SmallPlatform) -> None:
    for name in ("Twin", "Twin"):
        claw("deploy", name)
    for number, instance in enumerate(platform.instances.values()):
        instance["slug"] = f"twin-{number}"
    result = claw("stop", "Twin")
    assert result.exit_code == 2
    assert "twin-0, twin-1" in result.stderr


@pytest.mark.parametrize("name", ["nobody", "018f0000-0000-7000-8000-000000000001"])
def test_what_does_not_exist_ends_with_three(platform: SmallPlatform, name: str) -> None:
    assert claw("show", name).exit_code == 3


def test_destroy_asks_and_does_nothing_without_consent(platform: SmallPlatform) -> None:
    claw("deploy", "demo", "--wait")
    assert claw("destroy", "demo").exit_code == 5
    assert claw("show", "demo", "--json").exit_code == 0


def test_destroy_waits_until_it_is_gone(platform: SmallPlatform) -> None:
    claw("deploy", "demo", "--wait")
    result = claw("destroy", "demo", "--yes", "--wait")
    assert result.exit_code == 0, result.output
    assert claw("show", "demo").exit_code == 3


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "redeploy", "pause", "resume"])
def test_changes_wait_for_their_operation(platform: SmallPlatform, verb: str) -> None:
    claw("deploy", "demo", "--wait")
    assert answer(claw(verb, "demo", "--wait", "--json"))["operation"] is None


def test_chat_prints_the_answer_as_it_comes_without_control_characters(platform: SmallPlatform) -> None:
    claw("deploy", "demo", "--wait")
    assert claw("chat", "demo", "hello").stdout == "I heard: hello [2J✓\n"
    assert answer(claw("chat", "demo", "hello", "--json"))["choices"][0]["message"]["content"].startswith("I heard")


def test_a_conversation_goes_on_until_the_input_ends(platform: SmallPlatform) -> None:
    claw("deploy", "demo", "--wait")
    result = claw("chat", "demo", given="one\n\ntwo\n")
    assert result.stdout.splitlines() == ["I heard: one [2J✓", "I heard: two [2J✓"]


def test_every_message_belongs_to_one_conversation_that_the_agent_keeps(platform: SmallPlatform) -> None:
    claw("deploy", "demo", "--wait")
    claw("chat", "demo", "zero")
    claw("chat", "demo", given="one\ntwo\n")
    said = [(body["user"], [message["content"] for message in body["messages"]]) for body in platform.chats]
    assert said == [("claw", ["zero"]), ("claw", ["one"]), ("claw", ["two"])]


@pytest.mark.parametrize("message", ["", " \n"])
def test_an_empty_message_is_wrong_usage_and_is_not_sent(platform: SmallPlatform, message: str) -> None:
    claw("deploy", "demo", "--wait")
    assert claw("chat", "demo", message).exit_code == 2
    assert platform.chats == []


@pytest.fixture
def interruptible() -> Generator[None]:
    """Workers of xdist ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_the_answer_and_not_the_conversation(platform: SmallPlatform) -> None:
    claw("deploy", "demo", "--wait")
    result = claw("chat", "demo", given=f"{INTERRUPT}\ntwo\n")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "I heard: two [2J✓"
    assert "The answer was ended" in result.stderr


def test_another_platform_needs_its_key_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLAWDEPLOY_URL", "http://platform.example")
    monkeypatch.delenv("CLAWDEPLOY_API_KEY", raising=False)
    result = claw("ls")
    assert result.exit_code == 4
    assert "Set CLAWDEPLOY_API_KEY" in result.stderr


def test_logs_events_cost_replay_keys_and_dead_letters_answer_json(platform: SmallPlatform) -> None:
    claw("deploy", "demo", "--wait")
    assert answer(claw("logs", "demo", "--tail", "2", "--json"))["logs"] == "line 98\nline 99"
    assert answer(claw("events", "--after", "7", "--json"))["next_cursor"] == "8"
    assert answer(claw("cost", "demo", "--json"))["cost_micros"] == 12
    assert answer(claw("replay", "billing", "--json"))["events"] == 12
    assert answer(claw("rotate", "sealing-key", "--json"))["sealing_key_id"] == "k2"
    assert "sealed to k2" in claw("rotate", "sealing-key").stderr
    assert answer(claw("dead-letters", "list", "--json"))["items"][0]["id"] == "7"
    assert answer(claw("dead-letters", "retry", "api", "7", "--json"))["state"] == "retry"
    assert claw("dead-letters", "drop", "api", "7").exit_code == 5
    assert answer(claw("dead-letters", "drop", "api", "7", "--yes", "--json"))["state"] == "drop"


def test_the_fleet_is_shown_per_provider_with_what_it_lost(platform: SmallPlatform) -> None:
    (provider,) = answer(claw("fleet", "--json"))["items"]
    assert set(provider) == {"name", "emulated", "servers", "debts", "orphans", "removed", "last_sweep", "lost"}
    heading, line = claw("fleet").stdout.splitlines()
    assert heading.split() == ["PROVIDER", "SERVERS", "DEBTS", "ORPHANS", "REMOVED", "LAST", "SWEEP", "LOST"]
    assert line.split()[:6] == ["hetzner", "(emulated)", "3", "1", "0", "2"]
    assert line.split()[-1] == "0.10"


def test_the_servers_are_listed_page_by_page_without_those_that_are_destroyed(platform: SmallPlatform) -> None:
    assert [each["id"] for each in answer(claw("servers", "ls", "--json"))["items"]] == ["s2"]
    heading, line = claw("servers", "ls").stdout.splitlines()
    assert heading.split() == ["SERVER", "NAME", "PROVIDER", "REGION", "STATE", "ADDRESS", "INSTANCE", "SEEN"]
    assert line.split()[:7] == ["s2", "-", "hetzner", "nbg1", "running", "203.0.113.7", "i1"]
    assert "destroyed" in claw("servers", "ls", "--all").stdout.splitlines()[1]


def test_a_server_that_is_paid_for_after_its_end_is_listed_and_shown_as_terminating(platform: SmallPlatform) -> None:
    platform.paid_until = "2999-01-22T00:00:00Z"
    assert [each["id"] for each in answer(claw("servers", "ls", "--json"))["items"]] == ["s1", "s2"]
    assert "terminating, paid until 2999-01-22" in claw("servers", "ls").stdout.splitlines()[1]
    claw("deploy", "demo", "--wait")
    [instance] = platform.instances.values()
    assert "paid until" not in claw("show", "demo").stdout
    instance["server_paid_until"] = platform.paid_until
    assert "Former server   terminating, paid until 2999-01-22" in claw("show", "demo").stdout


def test_a_machine_of_ones_own_is_added_listed_and_removed(platform: SmallPlatform, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a private key")
    options = ("--address", "nas.test", "--key", str(key), "--region", "attic")
    added = claw("servers", "add", "nas", *options)
    assert (added.exit_code, added.stderr) == (
        0,
        "nas is free, with 4096 MB of memory. Next: claw deploy NAME --provider own --region attic\n",
    )
    assert answer(claw("servers", "add", "nas", *options, "--json"))["state"] == "free"
    assert claw("servers", "ls").stdout.splitlines()[2].split()[:6] == ["m1", "nas", "own", "attic", "free", "nas.test"]
    restarted = claw("servers", "reboot", "m1", "--yes")
    assert (restarted.exit_code, restarted.stderr) == (
        0,
        "m1 restarts; its agent is heard of again within a minute or two.\n",
    )
    assert claw("servers", "reboot", "m2", "--yes").exit_code == 3
    assert claw("servers", "remove", "nas").stderr == "nas is forgotten.\n"
    assert claw("servers", "remove", "attic").exit_code == 3
    refused = claw("servers", "add", "toaster", *options)
    assert refused.exit_code == 1
    assert "it lacks systemd" in refused.stderr
    assert claw("servers", "ls").stderr == "toaster: it lacks systemd\n"


def test_a_running_agent_that_is_not_well_is_not_shown_as_well(platform: SmallPlatform) -> None:
    claw("deploy", "demo", "--wait")
    [instance] = platform.instances.values()
    shown = dict[str, str]()
    for process in ("healthy", "starting", "unhealthy", "unknown"):
        instance["health"] = {"process": process, "channel": "unknown"}
        shown[process] = claw("ls").stdout.splitlines()[1]
        assert claw("show", "demo").stdout.splitlines()[3].removeprefix("Status").strip() in shown[process]
    assert "running," not in shown.pop("healthy")
    assert [("running, " + word) in shown[process] for process, word in zip(shown, SEEN, strict=True)] == [True] * 3


def test_an_agent_at_a_stand_in_is_shown_as_such(platform: SmallPlatform) -> None:
    claw("deploy", "demo", "--wait")
    [instance] = platform.instances.values()
    assert "(emulated)" not in claw("ls").stdout + claw("show", "demo").stdout
    instance.update(provider="hetzner", emulated=True)
    assert "demo (emulated)" in claw("ls").stdout
    assert "hetzner (emulated)" in claw("show", "demo").stdout


def test_an_operation_behind_another_says_what_it_waits_for(platform: SmallPlatform) -> None:
    claw("deploy", "demo")
    [deploying] = platform.operations.values()
    deploying["state"] = "running"
    deploying["steps"][0].update(state="running", title="Reserve a place", started_at=now())
    waits = "waiting for the deploy under way: Reserve a place, "
    assert f"It is queued, {waits}" in claw("stop", "demo").stderr
    operations = [line for line in claw("show", "demo").stdout.splitlines() if line.startswith("Operation")]
    assert [line.split()[1:3] for line in operations] == [["deploy", "running:"], ["stop", "queued"]]
    assert f"  {waits}" in claw("restart", "demo", "--wait").stderr
    assert [line.split()[0] for line in claw("operations", "demo").stdout.splitlines()][1:] == [
        "restart",
        "stop",
        "deploy",
    ]


def test_a_deployment_is_cancelled_and_nothing_is_refused(platform: SmallPlatform) -> None:
    claw("deploy", "demo")
    assert claw("cancel", "demo").exit_code == 0
    assert [operation["state"] for operation in platform.operations.values()] == ["cancelled"]
    platform.instances[next(iter(platform.instances))]["operation"] = None
    assert claw("cancel", "demo").exit_code == 5


def test_a_name_that_is_taken_is_told(platform: SmallPlatform) -> None:
    assert "already" not in claw("deploy", "demo").stderr
    assert claw("deploy", "demo").stderr.startswith("There is a demo already: this one is demo-9fdf33.\n")


def test_the_accounts_cost_marks_what_is_destroyed_and_lines_up(platform: SmallPlatform) -> None:
    claw("deploy", "demo", "--wait")
    claw("deploy", "gone", "--wait")
    claw("destroy", "gone", "--yes", "--wait")
    rows = [line.split() for line in claw("cost").stdout.splitlines()[-3:]]
    assert rows == [
        ["SLUG", "NAME", "COST", "CHARGE"],
        ["demo", "demo", "$0.000010", "$1.500000"],
        ["destroyed", "gone", "$0.000010", "$1.500000"],
    ]


@pytest.mark.parametrize("command", [("events",), ("events", "--json"), ("ls",), ("api", "GET", "/v1/cost")])
def test_a_reader_that_leaves_ends_a_command_quietly(platform: SmallPlatform, command: tuple[str, ...]) -> None:
    claw("deploy", "demo", "--wait")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run([CLAW, *command], stdout=closed, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (141, "")


def test_who_holds_the_port_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLAWDEPLOY_HOME", str(tmp_path / "home"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("CLAWDEPLOY_PORT", str(port))
        result = claw("doctor")
    assert result.exit_code == 1
    assert f"Port {port} is taken by " in result.stderr
    assert f"(pid {os.getpid()})" in result.stderr


@pytest.mark.parametrize("tail", [3, 250])
def test_the_newest_events_can_be_read(platform: SmallPlatform, tail: int) -> None:
    platform.events = 450
    found = answer(claw("events", "--tail", str(tail), "--json"))
    assert [item["subject"] for item in found["items"]] == [str(each) for each in range(451 - tail, 451)]


def test_more_events_than_one_page_holds_can_be_read(platform: SmallPlatform) -> None:
    platform.events = 450
    found = answer(claw("events", "--limit", "401", "--json"))
    assert [item["subject"] for item in found["items"]] == [str(each) for each in range(1, 402)]
    assert found["next_cursor"] == "401"


def test_a_followed_log_is_taken_up_again_when_the_connection_was_lost(
    platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clawdeploy_cli.actions.logs.RECONNECT_S", 0.01)
    claw("deploy", "demo", "--wait")
    result = claw("logs", "demo", "--follow", "--tail", "2")
    assert result.stdout.splitlines() == ["line 0", "line 1", "new"]
    assert platform.tails == [2, 0, 0, 0]
    assert result.stderr.count("Trying again") == 1


def test_people_read_costs_and_logs(platform: SmallPlatform) -> None:
    claw("deploy", "demo", "--wait")
    assert claw("logs", "demo", "--tail", "1").stdout == "line 99\n"
    assert "Total: cost $0.000012, charge $0.000015" in claw("cost", "demo").stdout


def test_a_change_that_changes_nothing_says_so(platform: SmallPlatform) -> None:
    claw("deploy", "demo", "--wait")
    platform.has_operations = False
    result = claw("start", "demo", "--wait")
    assert (result.exit_code, result.stderr) == (0, "demo is running already.\n")


@pytest.mark.parametrize(("verb", "cure"), [("stop", "start"), ("pause", "resume")])
def test_an_agent_that_cannot_answer_is_not_asked(platform: SmallPlatform, verb: str, cure: str) -> None:
    claw("deploy", "demo", "--wait")
    claw(verb, "demo", "--wait")
    result = claw("chat", "demo", "hello")
    assert result.exit_code == 5
    assert f"claw {cure} demo" in result.stderr
    assert platform.chats == []


def test_any_call_can_be_made_and_its_status_decides_the_exit_code(platform: SmallPlatform, tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text('{"name": "x", "model": "m", "channel": "c"}')
    assert answer(claw("api", "post", "/v1/instances", "--data", f"@{body}"))["name"] == "x"
    result = claw("api", "GET", "/v1/instances/none")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["status"] == 404
    assert claw("api", "GET", "v1/instances").exit_code == 2
    assert claw("api", "POST", "/v1/instances", "--data", "{").exit_code == 2


def test_a_service_that_is_away_ends_with_four(platform: SmallPlatform) -> None:
    assert claw("replay", "away").exit_code == 4


def test_a_wrong_key_says_where_the_right_one_is(platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAWDEPLOY_API_KEY", "claw_wrong")
    result = claw("ls")
    assert result.exit_code == 5
    assert "claw auth token" in result.stderr


def test_an_unreachable_platform_says_how_to_start_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLAWDEPLOY_URL", f"http://127.0.0.1:{free_ports(1)[0]}")
    monkeypatch.setenv("CLAWDEPLOY_API_KEY", API_KEY)
    result = claw("ls", "--json")
    assert result.exit_code == 4
    assert result.stdout == ""
    assert "claw up" in result.stderr


def test_cleaning_where_nothing_is_changes_nothing_and_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INVARIANT: a folder that is no home of ours is never touched."""
    monkeypatch.setenv("CLAWDEPLOY_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "precious").touch()
    assert answer(claw("clean", "--yes", "--json")) == {"deleted": None}
    assert (tmp_path / "home" / "precious").exists()


def test_a_change_sent_twice_carries_one_idempotency_key(
    platform: SmallPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INVARIANT: a mutation whose connection breaks is sent again under the same key, so that it takes effect once."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("CLAWDEPLOY_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        seen: list[bytes] = []
        broken = threading.Thread(target=_break_one_then_answer, args=(server, seen))
        broken.start()
        result = claw("deploy", "demo", "--json")
        broken.join()
    assert result.exit_code == 0, result.output
    keys = [line for request in seen for line in request.splitlines() if line.lower().startswith(b"idempotency-key")]
    assert len(seen) == len(keys) == 2
    assert len(set(keys)) == 1


def _break_one_then_answer(server: socket.socket, seen: list[bytes]) -> None:
    for body in (b"", b'{"name": "demo", "slug": "demo", "status": "pending"}'):
        client, _ = server.accept()
        with client:
            seen.append(client.recv(65536))
            if body:
                head = f"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                client.sendall(head.encode() + body)
