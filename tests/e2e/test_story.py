"""The whole story with the real OpenClaw: deploy, chat, bill, stop, start, chat again, destroy; and no secret anywhere."""

import json
import re
import subprocess
from collections.abc import Generator
from functools import cached_property
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from clawdeploy_cli.secret_store import Secrets
from tests.e2e.local import Local, open_folder, until

pytestmark = pytest.mark.story
PLANTED_TOKEN = "123456789:" + "PLANTEDbotTOKENplantedBOTtokenPLANT"  # pragma: allowlist secret


class Story(Local):
    """One platform with one agent called story."""

    def json(self, *arguments: str) -> Any:
        """What a command prints with --json."""
        done = self.claw(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @property
    def instance(self) -> dict[str, Any]:
        """The agent, as the API shows it."""
        return self.json("show", "story")

    @property
    def secrets(self) -> Secrets:
        """What `claw up` made."""
        return Secrets.model_validate_json((self.folder / "home" / "secrets.json").read_bytes())

    def output(self) -> str:
        """What the steps of the newest deployment wrote."""
        newest = json.loads(self.claw("api", "GET", "/v1/deployments").stdout)["items"][0]["id"]
        return json.loads(self.claw("api", "GET", f"/v1/deployments/{newest}/logs").stdout)["logs"]

    def stand_in(self, path: str) -> Any:
        """A question to OpenRouter's stand-in, as its owner."""
        address = self.services()["openrouter-stand-in"]["address"]
        headers = {"Authorization": f"Bearer {self.secrets.stand_in_management_key}"}
        return httpx.get(f"{address}{path}", headers=headers).json()

    def billed(self) -> int:
        """Micro-USD of LLM cost on the account's books."""
        cost = self.json("cost", "story")
        return sum(line["cost_micros"] for line in cost["lines"] if line["kind"] == "llm")

    @cached_property
    def database_port(self) -> int:
        """Where the database listens, always."""
        return int(self.services()["postgres"]["address"].rsplit(":", 1)[1].split("/")[0])

    async def rows(self, statement: str) -> list[Any]:
        """Rows as the database's administrator sees them."""
        connection = await asyncpg.connect(
            host="127.0.0.1",
            port=self.database_port,
            user="postgres",
            password=self.secrets.postgres_admin_password,
            database="clawdeploy",
        )
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()


@pytest.fixture(scope="module")
def story() -> Generator[Story]:
    platform = Story(open_folder() / "story")
    up = platform.claw("up")
    assert up.returncode == 0, up.stderr
    yield platform
    platform.claw("clean", "--yes")


def test_an_agent_is_deployed_and_says_that_it_needs_a_token(story: Story) -> None:
    done = story.claw("deploy", "story", "--model", "gpt-5.2", "--channel", "telegram", "--wait")
    assert done.returncode == 0, done.stderr + done.stdout + story.output()
    instance = story.instance
    assert (instance["status"], instance["channel_status"]) == ("running", "needs_token")
    assert instance["endpoint"]


def test_it_answers_and_the_bill_is_what_the_model_reported(story: Story) -> None:
    """INVARIANT: LLM cost on the books equals what the provider reported, to the micro-unit."""
    said = story.claw("chat", "story", "What is 17 + 25?")
    assert said.returncode == 0, said.stderr
    assert "42" in said.stdout
    assert "I have seen 1 message" in said.stdout
    reported = story.stand_in("/_emulator/usage")
    assert reported["total_micros"] > 0
    until(lambda: story.billed() == story.stand_in("/_emulator/usage")["total_micros"])


def test_stop_start_and_the_conversation_goes_on(story: Story) -> None:
    assert story.claw("stop", "story").returncode == 0
    until(lambda: story.instance["status"] == "stopped")
    refused = story.claw("chat", "story", "Are you there?")
    assert refused.returncode != 0
    assert "story is stopped" in refused.stderr
    assert story.claw("start", "story").returncode == 0
    until(lambda: story.instance["status"] == "running" and story.instance["health"]["process"] == "healthy")
    said = story.claw("chat", "story", "What is 20 + 3?")
    assert "23" in said.stdout
    assert "I have seen 2 messages" in said.stdout
    until(lambda: story.billed() == story.stand_in("/_emulator/usage")["total_micros"])


def test_the_log_and_the_events_can_be_read(story: Story) -> None:
    assert story.claw("logs", "story", "--tail", "5").stdout.strip()
    types = [event["type"] for event in story.json("events")["items"]]
    assert {"deployment.requested.v1", "deployment.succeeded.v1", "usage.recorded.v1"} <= set(types)


async def test_a_planted_token_shows_nowhere(story: Story) -> None:
    """INVARIANT: a secret is in no response, log, event, table or process list in clear."""
    answer = story.claw(
        "api", "PATCH", f"/v1/instances/{story.instance['id']}", "--data", json.dumps({"bot_token": PLANTED_TOKEN})
    )
    assert answer.returncode == 0, answer.stderr
    until(lambda: story.instance["operation"] is None, seconds=120)
    places = {
        "answer": answer.stdout,
        "show": json.dumps(story.instance),
        "events": story.claw("events", "--json").stdout,
    }
    places["agent's log"] = story.claw("logs", "story", "--tail", "1000").stdout
    for log in (story.folder / "home" / "logs").iterdir():
        places[log.name] = log.read_text(errors="replace")
    places["process list"] = _command_lines()
    tables = await story.rows(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname IN ('api','provisioner','monitor','billing')"
    )
    for table in tables:
        rows = await story.rows(f"SELECT t::text AS row FROM {table['name']} t")  # noqa: S608 - a name from the catalogue
        places[table["name"]] = "\n".join(row["row"] for row in rows)
    key = story.claw("auth", "token").stdout.strip()
    for secret in (PLANTED_TOKEN, PLANTED_TOKEN.split(":")[1], PLANTED_TOKEN.encode().hex(), key, key.encode().hex()):
        assert [place for place, text in places.items() if secret in text] == []


def test_destroy_leaves_nothing(story: Story) -> None:
    """INVARIANT: no process, directory, port or live key of a destroyed agent is left."""
    instance = story.instance
    done = story.claw("destroy", "story", "--yes", "--wait")
    assert done.returncode == 0, done.stderr
    assert story.claw("show", "story").returncode in {0, 3}
    leftovers = [path for path in (story.folder / "home" / "instances").glob("[0-9a-f]*") if path.is_dir()]
    assert leftovers == []
    assert instance["id"] not in _environments()
    keys = story.stand_in("/api/v1/keys?include_disabled=true&include_expired=true")["data"]
    assert all(key["disabled"] for key in keys)
    port = re.search(r":(\d+)$", instance["endpoint"])
    assert port is not None
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{port.group(1)}/healthz", timeout=2)
    until(lambda: story.json("show", instance["id"])["status"] == "deleted")


def _command_lines() -> str:
    return subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout


def _environments() -> str:
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            found.append(path.read_text(errors="replace"))
        except OSError:
            continue
    return "\n".join(found)
