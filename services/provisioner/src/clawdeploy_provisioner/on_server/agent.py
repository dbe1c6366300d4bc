"""The on-server agent: keeps one OpenClaw as the control plane wants it, and says how it is. Contract: docs/on-server-agent.md.

One file, the standard library only, Python 3.10 or newer, run by systemd as root. It calls out and listens to nobody. What it was told
last holds while the control plane is away. Nothing is passed through a shell, and no secret is written to a log.
"""

import json
import logging
import os
import pwd
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

AGENT_VERSION = "1"
USER = "openclaw"
UNIT = "openclaw.service"
OPENCLAW = "/usr/local/bin/openclaw"
GATEWAY = "http://127.0.0.1:18789"
PROXY_ADDRESS = "192.0.2.1"  # RFC 5737: OpenClaw refuses a forwarded request whose client is loopback
REGISTER_QUICKLY, REGISTER_QUICK_S, REGISTER_SLOW_S = 5, 10.0, 60.0
AWAY_S, UNKNOWN_S, CALL_S, START_S, STOP_S = 10.0, 300.0, 20.0, 120.0, 60.0
UNAUTHORIZED, NOT_FOUND, NOT_MODIFIED = 401, 404, 304
SECRET_LENGTH = 6
CONFIGURATION_S = 120.0
HELD_S, TAKE_S, TAKE_LOOK_S = 60.0, 30.0, 0.3
MOST_ACCOUNTS = 20
TOLD_OF_AN_ACCOUNT = ("running", "connected", "lifecycle", "lastError", "lastStartAt")
log = logging.getLogger("clawdeploy-agent")


class Refused(Exception):
    """The control plane answered with an error; ``status`` is HTTP's."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status = status


class Away(Exception):
    """The control plane does not answer, or cannot at the moment."""


@dataclass(frozen=True)
class Places:
    """Where everything is on the server; ``root`` is / save in tests."""

    root: Path = Path("/")

    @property
    def settings(self) -> Path:
        return self.root / "etc/clawdeploy/agent.json"

    @property
    def own(self) -> Path:
        return self.root / "var/lib/clawdeploy-agent"

    @property
    def openclaw(self) -> Path:
        return self.root / "var/lib/openclaw/.openclaw"

    @property
    def environment(self) -> Path:
        return self.root / "etc/clawdeploy/openclaw.env"

    @property
    def progress(self) -> Path:
        return self.root / "var/lib/clawdeploy-agent/progress"


@dataclass(frozen=True)
class State:
    """What survives a restart of the agent; ``refused`` is a configuration that is not tried again."""

    credential: str | None = None
    configuration_id: str | None = None
    refused: str | None = None
    wanted: str = "stopped"
    generation: int = 0
    results: dict[str, dict[str, Any]] = field(default_factory=dict)


class ControlPlane:
    """The calls of the contract."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")

    def call(
        self, method: str, path: str, *, secret: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """The answer's JSON, None without content; raises Refused, Away."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the address comes from our own settings
            f"{self._base_url}/v1/agent/{path}",
            data=data,
            method=method,
            headers={"Authorization": f"Bearer {secret}", "Content-Type": "application/json", **(headers or {})},
        )
        try:
            seconds = HELD_S if path == "heartbeat" else CALL_S
            with urllib.request.urlopen(request, timeout=seconds) as response:  # noqa: S310 - the same
                content = response.read()
                return json.loads(content) if content else None
        except urllib.error.HTTPError as error:
            status = error.code
            error.close()
            if status == NOT_MODIFIED:
                return None
            if status in (429, 500, 502, 503, 504):
                raise Away(f"HTTP {status}") from None
            raise Refused(status, error.reason) from None
        except (OSError, ValueError) as error:
            raise Away(type(error).__name__) from None


class Machine:
    """The server's own figures, from /proc."""

    def __init__(self) -> None:
        self._last = self._ticks()

    def figures(self) -> dict[str, Any]:
        """CPU since the last look, memory and disk."""
        memory = {
            name: int(rest.split()[0]) * 1024
            for name, _, rest in (line.partition(":") for line in Path("/proc/meminfo").read_text().splitlines())
        }
        disk = os.statvfs("/")
        return {
            "cpu_percent": self._cpu_percent(),
            "memory_total_bytes": memory["MemTotal"],
            "memory_used_bytes": memory["MemTotal"] - memory["MemAvailable"],
            "disk_total_bytes": disk.f_blocks * disk.f_frsize,
            "disk_free_bytes": disk.f_bavail * disk.f_frsize,
        }

    def _cpu_percent(self) -> float:
        (busy, total), (busy_before, total_before) = self._ticks(), self._last
        self._last = (busy, total)
        passed = total - total_before
        return round(100 * (busy - busy_before) / passed, 1) if passed > 0 else 0.0

    @staticmethod
    def _ticks() -> tuple[int, int]:
        ticks = [int(part) for part in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        idle = ticks[3] + ticks[4]
        return sum(ticks) - idle, sum(ticks)


class OpenClaw:
    """The gateway on this server: its unit, its files, its probes."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._models: list[str] = []
        self.trouble: str | None = None

    @property
    def version(self) -> str | None:
        """The installed version; None while the bootstrap is still at it."""
        if not Path(OPENCLAW).exists():
            return None
        finished = run(["runuser", "-u", USER, "--", OPENCLAW, "--version"], seconds=60)
        if finished.returncode != 0:
            self.trouble = f"OpenClaw does not run: {(finished.stderr or finished.stdout).strip()[-300:]}"
            return None
        return next((word for word in finished.stdout.split() if word[:1].isdigit()), None)

    def report(self, generation: int) -> dict[str, Any]:
        """How the gateway is; answers the wish of ``generation``."""
        shown = run(["systemctl", "show", UNIT, "--property=ActiveState,NRestarts,Result"], seconds=10).stdout
        facts = {name: value for name, _, value in (line.partition("=") for line in shown.splitlines())}
        state = self._state(facts.get("ActiveState", "inactive"))
        return {
            "state": state,
            "generation": generation,
            "restarts": int(facts.get("NRestarts") or 0),
            "detail": facts.get("Result") if state == "failed" else None,
            "last_lines": self.last_lines() if state == "failed" else [],
        }

    def _state(self, active: str) -> str:
        if active in ("active", "activating", "reloading", "deactivating"):
            return "ready" if self.has_started() else "starting"
        self._models = []
        return "failed" if active == "failed" else "stopped"

    def has_started(self) -> bool:
        """Whether ``/startupz`` says so."""
        return mapping(self._ask("/startupz")).get("status") == "started"

    def channel_accounts(self) -> dict[str, list[dict[str, Any]]]:
        """What ``channels.status`` tells of the configured channels' accounts: the platform judges it."""
        document = mapping(read_json(self._places.openclaw / "openclaw.json"))
        configured = mapping(document.get("channels"))
        if not configured:
            return {}
        told, secrets = mapping(self._rpc("channels.status").get("channelAccounts")), self._secrets()
        return {
            name: [account_told(account, secrets) for account in cast("list[Any]", accounts)[:MOST_ACCOUNTS]]
            for name, accounts in told.items()
            if name in configured and isinstance(accounts, list)
        }

    def models(self) -> list[str]:
        """What the gateway offers; asked once per start."""
        if not self._models:
            found = self._rpc("models.list").get("models", [])
            self._models = [f"{model['provider']}/{model['id']}" for model in found]
        return self._models

    def revision(self) -> str | None:
        """Which content of its file it has taken; None when it does not say."""
        told = self._rpc("config.get")
        taken = told.get("appliedConfigHash")
        return taken if told.get("valid") is True and taken == told.get("configRevisionHash") else None

    def takes_another_than(self, revision: str) -> bool:
        """Whether it takes the file's new content while it runs, by its own word."""
        self._models = []
        deadline = time.monotonic() + TAKE_S
        while self.revision() in (None, revision):
            if time.monotonic() > deadline:
                return False
            time.sleep(TAKE_LOOK_S)
        return True

    def last_lines(self) -> list[str]:
        """The unit's last lines, without the values of its environment."""
        lines = run(["journalctl", "-u", UNIT, "-n", "20", "-o", "cat", "--no-pager"], seconds=10).stdout.splitlines()
        secrets = self._secrets()
        return [redacted(line, secrets)[:2000] for line in lines]

    def _secrets(self) -> list[str]:
        """The values of the unit's environment that must not be told."""
        values = read_environment(self._places.environment).values()
        return [value for value in values if len(value) >= SECRET_LENGTH]

    def start(self) -> None:
        """Start or restart, also at the next boot; safe when it runs."""
        self._models = []
        run(["systemctl", "reset-failed", UNIT], seconds=10)
        run(["systemctl", "enable", UNIT], seconds=10)
        run(["systemctl", "restart", UNIT], seconds=STOP_S)

    def stop(self) -> None:
        """Stop, also over a boot; what is being written may end. One that had given up is stopped from now on, no longer failed."""
        run(["systemctl", "disable", "--now", UNIT], seconds=STOP_S)
        run(["systemctl", "reset-failed", UNIT], seconds=10)

    def comes_up(self) -> bool:
        """Whether it starts: within START_S, or four times as long on a busy server while it writes something new."""
        began, looks, lines = time.monotonic(), 0, self.last_lines()
        while not self.has_started():
            elapsed = time.monotonic() - began
            if self._has_failed() or elapsed > 4 * START_S:
                return False
            if elapsed > (looks + 1) * START_S / 3:
                looks, before, lines = looks + 1, lines, self.last_lines()
                if elapsed > START_S and lines == before:
                    return False
            time.sleep(1)
        return True

    def _has_failed(self) -> bool:
        shown = run(["systemctl", "show", UNIT, "--property=ActiveState", "--value"], seconds=10).stdout
        return shown.strip() == "failed"

    def _rpc(self, method: str) -> dict[str, Any]:
        """What a method of the gateway answers; empty when it does not."""
        answer = mapping(self._ask("/api/v1/admin/rpc", {"method": method, "params": {}}))
        return mapping(answer.get("payload"))

    def _ask(self, path: str, body: Any = None) -> Any:
        """The gateway's JSON as the platform's proxy would get it; None when it does not answer."""
        document = mapping(read_json(self._places.openclaw / "openclaw.json"))
        proxy = mapping(mapping(mapping(document.get("gateway")).get("auth")).get("trustedProxy"))
        if not proxy:
            return None
        headers = {"X-Forwarded-For": PROXY_ADDRESS, "X-Forwarded-Proto": "http", "Content-Type": "application/json"}
        headers[proxy["userHeader"]] = proxy["allowUsers"][0]
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(GATEWAY + path, data=data, headers=headers)  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - the same
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                try:
                    return json.loads(error.read())
                except ValueError:
                    return None
        except (OSError, ValueError):
            return None


class Configurator:
    """Checks a configuration and puts it in place, or the previous one back."""

    def __init__(self, places: Places, openclaw: OpenClaw) -> None:
        self._places = places
        self._openclaw = openclaw

    def apply(self, answer: Mapping[str, Any], *, running: bool) -> dict[str, Any]:
        """What the control plane is told became of it."""
        issues = self._install(answer["plugins"]) or self._check(answer)
        if issues:
            return {"result": "rejected", "issues": issues}
        document, environment = self._places.openclaw / "openclaw.json", self._places.environment
        before = (read_bytes(document), read_bytes(environment))
        environment_after = environment_file(answer["environment"])
        revision = None
        if running and environment_after == before[1] and taken_while_running(before[0], answer):
            revision = self._openclaw.revision()
        self._put(json.dumps(answer["document"], indent=1).encode(), environment_after)
        if not running or (revision is not None and self._openclaw.takes_another_than(revision)):
            return {"result": "applied", "issues": []}
        self._openclaw.start()
        if self._openclaw.comes_up():
            return {"result": "applied", "issues": []}
        lines = self._openclaw.last_lines()[-5:]
        if before[0] is not None and before[1] is not None:
            self._put(before[0], before[1])
            self._openclaw.start()
        return {"result": "rolled_back", "issues": ["OpenClaw did not come up with it", *lines]}

    def _install(self, plugins: list[str]) -> list[str]:
        for plugin in plugins:
            finished = run(self._as_user("plugins", "install", plugin), seconds=300)
            if finished.returncode != 0:
                return [f"{plugin} could not be installed", *finished.stdout.splitlines()[-3:]]
        return []

    def _check(self, answer: Mapping[str, Any]) -> list[str]:
        """OpenClaw's complaints about the document, none if it accepts it."""
        candidate = self._places.openclaw / "candidate.json"
        write(candidate, json.dumps(answer["document"]).encode(), owner=USER)
        try:
            finished = run(
                self._as_user("config", "validate", "--json"),
                seconds=120,
                environment={"OPENCLAW_CONFIG_PATH": str(candidate), **answer["environment"]},
            )
        finally:
            candidate.unlink(missing_ok=True)
        if finished.returncode == 0:
            return []
        try:
            found = json.loads(finished.stdout).get("issues", [])
            issues = [f"{issue.get('path', '')}: {issue.get('message', '')}" for issue in found]
        except (ValueError, AttributeError):
            issues = finished.stdout.splitlines()[-5:]
        return [issue[:500] for issue in issues] or ["openclaw config validate refused it without a reason"]

    def _put(self, document: bytes, environment: bytes) -> None:
        write(self._places.environment, environment, owner="root")
        write(self._places.openclaw / "openclaw.json", document, owner=USER)

    @staticmethod
    def _as_user(*arguments: str) -> list[str]:
        return ["runuser", "-u", USER, "--preserve-environment", "--", OPENCLAW, *arguments]


class Agent:
    """The loop: report, hear, do."""

    def __init__(self, places: Places, settings: Mapping[str, str]) -> None:
        self._places = places
        self._settings = settings
        self._plane = ControlPlane(settings["control_plane_url"])
        self._machine = Machine()
        self._openclaw = OpenClaw(places)
        self._configurator = Configurator(places, self._openclaw)
        self._state = load_state(places)
        self._version: str | None = None
        self._asked_at = 0.0
        self._heard: dict[str, Any] | None = None

    def run(self) -> None:
        """Until the unit is stopped."""
        while True:
            time.sleep(self.round())

    def round(self) -> float:
        """One exchange; answers how many seconds to wait until the next."""
        try:
            if self._state.credential is None:
                self._register()
            return self._exchange()
        except Away as error:
            log.info("the control plane is away (%s); going on as told last", error)
            return AWAY_S
        except Refused as error:
            log.warning("the control plane refused: %s", error)
            return UNKNOWN_S if error.status == UNAUTHORIZED else AWAY_S

    def _register(self) -> None:
        """Five times ten seconds apart, then every minute."""
        attempt = 0
        while self._state.credential is None:
            attempt += 1
            try:
                answer = self._plane.call(
                    "POST",
                    "register",
                    secret=self._settings["registration_token"],
                    body={"agent_version": AGENT_VERSION},
                )
                self._remember(credential=answer["credential"])
            except (Away, Refused) as error:
                log.warning("registration %d failed: %s", attempt, error)
                time.sleep(REGISTER_QUICK_S if attempt < REGISTER_QUICKLY else REGISTER_SLOW_S)

    def _exchange(self) -> float:
        self._tell_results()
        answer = self._call("POST", "heartbeat", body=self._heartbeat())
        overdue = time.monotonic() - self._asked_at >= CONFIGURATION_S
        wanted = answer["configuration_id"]
        if wanted not in (None, self._state.configuration_id, self._state.refused) or (wanted is not None and overdue):
            self._configure()
        wish = answer["gateway"]
        if wish["generation"] != self._state.generation and self._version is not None:
            self._carry_out(wish)
        self._tell_results()
        before, self._heard = self._heard, {**wish, "configuration_id": wanted}
        return 0.0 if self._heard != before else float(answer["heartbeat_seconds"])

    def _heartbeat(self) -> dict[str, Any]:
        self._version = self._version or self._openclaw.version
        if self._version is None:
            told = (read_bytes(self._places.progress) or b"").decode(errors="replace").strip() or None
            detail = self._openclaw.trouble or told
            gateway: dict[str, Any] = {"state": "absent", "generation": self._state.generation, "detail": detail}
        else:
            gateway = self._openclaw.report(self._state.generation)
        is_ready = gateway["state"] == "ready"
        return {
            **self._machine.figures(),
            "openclaw_version": self._version,
            "gateway": gateway,
            "channel_accounts": self._openclaw.channel_accounts() if is_ready else {},
            "models": self._openclaw.models() if is_ready else [],
            "configuration_id": self._state.configuration_id,
            "heard": self._heard if self._is_at_rest(gateway["state"]) else None,
        }

    def _is_at_rest(self, state: str) -> bool:
        """A gateway that is on its way is reported on, not waited with."""
        return state == ("ready" if self._state.wanted == "running" else "stopped")

    def _configure(self) -> None:
        self._asked_at = time.monotonic()
        known = {"If-None-Match": f'"{self._state.configuration_id}"'} if self._state.configuration_id else {}
        answer = self._call("GET", "configuration", headers=known)
        if answer is None or answer["id"] in (self._state.configuration_id, self._state.refused):
            return
        outcome = self._configurator.apply(answer, running=self._state.wanted == "running")
        results = {**self._state.results, answer["id"]: outcome}
        if outcome["result"] == "applied":
            self._remember(configuration_id=answer["id"], refused=None, results=results)
        else:
            self._remember(refused=answer["id"], results=results)

    def _carry_out(self, wish: Mapping[str, Any]) -> None:
        """A gateway without a configuration cannot start: it waits for one."""
        if wish["wanted"] == "running":
            if self._state.configuration_id is None:
                return
            self._openclaw.start()
        else:
            self._openclaw.stop()
        self._remember(wanted=wish["wanted"], generation=wish["generation"])

    def _tell_results(self) -> None:
        """What could not be told while the control plane was away is told later."""
        for configuration_id, outcome in list(self._state.results.items()):
            try:
                self._call("POST", f"configuration/{configuration_id}/result", body=outcome)
            except Refused as error:
                if error.status != NOT_FOUND:
                    raise
            self._remember(results={k: v for k, v in self._state.results.items() if k != configuration_id})

    def _call(self, method: str, path: str, *, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        return self._plane.call(method, path, secret=self._state.credential or "", body=body, headers=headers)

    def _remember(self, **changes: Any) -> None:
        self._state = replace(self._state, **changes)
        write(self._places.own / "state.json", json.dumps(asdict(self._state)).encode(), owner="root")


def run(
    argv: list[str], *, seconds: float, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """A program's end; one that takes too long counts as failed."""
    whole = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/var/lib/openclaw",
        "LANG": "C.UTF-8",
        **(environment or {}),
    }
    try:
        return subprocess.run(  # noqa: S603 - argv, no shell
            argv, capture_output=True, text=True, errors="replace", timeout=seconds, env=whole, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(argv, 124, stdout=type(error).__name__, stderr="")


def write(path: Path, content: bytes, *, owner: str) -> None:
    """Replace a file as a whole, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if owner != "root":
        who = pwd.getpwnam(owner)
        shutil.chown(temporary, who.pw_uid, who.pw_gid)
    temporary.replace(path)


def read_bytes(path: Path) -> bytes | None:
    """A file's content; None when it is not there."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def read_json(path: Path) -> Any:
    """A file's JSON; None when it is not there or damaged."""
    try:
        return json.loads(read_bytes(path) or b"null")
    except ValueError:
        return None


def mapping(value: Any) -> dict[str, Any]:
    """The JSON object it is; an empty one when it is something else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def environment_file(variables: Mapping[str, str]) -> bytes:
    """For systemd's EnvironmentFile= (systemd.exec(5)): double quotes, with the four characters that mean something in them escaped."""
    lines: list[str] = []
    for name, value in sorted(variables.items()):
        if "\n" in value or "\0" in value:
            raise ValueError(f"{name} holds a line break")
        quoted = "".join(f"\\{character}" if character in '"\\$`' else character for character in value)
        lines.append(f'{name}="{quoted}"\n')
    return "".join(lines).encode()


def read_environment(path: Path) -> dict[str, str]:
    """The variables of such a file."""
    found: dict[str, str] = {}
    for line in (read_bytes(path) or b"").decode().splitlines():
        name, _, quoted = line.partition("=")
        characters = iter(quoted[1:-1])
        found[name] = "".join(next(characters, "") if character == "\\" else character for character in characters)
    return found


def taken_while_running(before: bytes | None, answer: Mapping[str, Any]) -> bool:
    """Whether the document changes, and only where OpenClaw needs no restart, as the platform tells."""
    sections = answer.get("restart_sections")
    try:
        old = mapping(json.loads(before or b"null"))
    except ValueError:
        return False
    new = answer["document"]
    return bool(sections) and old != new and all(old.get(name) == new.get(name) for name in sections)


def account_told(account: Any, secrets: list[str]) -> dict[str, Any]:
    """The part of a channel's account that says how it is; its texts without secrets."""
    found = mapping(account)
    told = {name: found[name] for name in TOLD_OF_AN_ACCOUNT if name in found}
    return {name: redacted(value, secrets)[:500] if isinstance(value, str) else value for name, value in told.items()}


def redacted(line: str, secrets: list[str]) -> str:
    """The line without any of these values."""
    for secret in secrets:
        line = line.replace(secret, "[redacted]")
    return line


def load_state(places: Places) -> State:
    """What was remembered; a damaged file is a new beginning."""
    return State(**mapping(read_json(places.own / "state.json")))


def main() -> None:
    """Run with the settings the bootstrap wrote."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    places = Places()
    Agent(places, json.loads(places.settings.read_text())).run()


if __name__ == "__main__":
    main()
