"""What would run on a hollow server: it reads its user data as cloud-init does and plays the on-server agent's part over HTTP."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import structlog
import yaml
from httpx import AsyncBaseTransport, AsyncClient, TransportError

log = structlog.get_logger()

AGENT_FILE = "/etc/clawdeploy/agent.json"
_RETRY_S = 1.0
_GB = 1024**3


@dataclass
class _Disk:
    """What a server remembers when it is powered off and on."""

    credential: str | None = None
    configuration: dict[str, Any] | None = None
    wanted: str = "stopped"
    generation: int = 0
    refused: str | None = None


class AgentPlayer:
    """A hollow machine's script; ``disks`` is a folder for what servers remember, also when the stand-in is started anew.

    ``transport`` reaches the control plane some other way than by network.
    """

    def __init__(self, disks: Path, *, transport: AsyncBaseTransport | None = None) -> None:
        self._disks = disks
        self._transport = transport

    async def __call__(self, user_data: str, address: str) -> None:
        """Register, report, take configurations, do as told, until cancelled; a server without our user data does nothing."""
        told = _told(user_data)
        if told is None:
            return
        file = self._disk_of(told)
        disk = _Disk(**json.loads(file.read_text())) if file.exists() else _Disk()
        base_url = f"{told['control_plane_url'].rstrip('/')}/v1/agent"
        async with AsyncClient(base_url=base_url, timeout=10, transport=self._transport) as http:
            agent = _HollowAgent(http, told, disk)
            log.info("hollow_agent.up", address=address, server_id=told["server_id"])
            while True:
                pause = await agent.round()
                _keep(file, disk)
                await asyncio.sleep(pause)

    def forget(self, user_data: str) -> None:
        """The machine's disk was wiped."""
        told = _told(user_data)
        if told is not None:
            self._disk_of(told).unlink(missing_ok=True)

    def _disk_of(self, told: Mapping[str, str]) -> Path:
        return self._disks / f"{hashlib.sha256(told['registration_token'].encode()).hexdigest()[:32]}.json"


def _keep(file: Path, disk: _Disk) -> None:
    text = json.dumps(asdict(disk))
    if not file.exists() or file.read_text() != text:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_text(text)


def _told(user_data: str) -> dict[str, str] | None:
    document: Any = yaml.safe_load(user_data) if user_data.startswith("#cloud-config") else None
    if not isinstance(document, dict):
        return None
    files = cast("list[dict[str, str]]", cast("dict[str, Any]", document).get("write_files") or [])
    content = next((file["content"] for file in files if file["path"] == AGENT_FILE), None)
    return None if content is None else json.loads(content)


class _HollowAgent:
    """One life of the machine; a gateway that was started is ready one heartbeat later."""

    def __init__(self, http: AsyncClient, told: Mapping[str, str], disk: _Disk) -> None:
        self._http = http
        self._told = told
        self._disk = disk
        self._ready = False

    async def round(self) -> float:
        """One exchange; answers the seconds until the next."""
        try:
            if self._disk.credential is None and not await self._register():
                return _RETRY_S
            return await self._exchange()
        except TransportError:
            return _RETRY_S

    async def _register(self) -> bool:
        answer = await self._call("POST", "/register", self._told["registration_token"], {"agent_version": "hollow"})
        if answer is None:
            return False
        self._disk.credential = answer["credential"]
        return True

    async def _exchange(self) -> float:
        credential, disk = self._disk.credential or "", self._disk
        answer = await self._call("POST", "/heartbeat", credential, self._heartbeat())
        if answer is None:
            return _RETRY_S
        in_place = disk.configuration["id"] if disk.configuration else None
        if answer["configuration_id"] not in (None, in_place, disk.refused):
            await self._configure(credential)
        wish = answer["gateway"]
        if wish["generation"] != disk.generation and (wish["wanted"] == "stopped" or disk.configuration):
            disk.wanted, disk.generation, self._ready = wish["wanted"], wish["generation"], False
            return 0.0
        self._ready = disk.wanted == "running"
        return float(answer["heartbeat_seconds"])

    async def _configure(self, credential: str) -> None:
        found = await self._call("GET", "/configuration", credential)
        if found is None:
            return
        issues = _issues(found["document"])
        result = {"result": "rejected" if issues else "applied", "issues": issues}
        if issues:
            self._disk.refused = found["id"]
        else:
            self._disk.configuration = found
        await self._call("POST", f"/configuration/{found['id']}/result", credential, result)

    def _heartbeat(self) -> dict[str, Any]:
        disk = self._disk
        state = "stopped" if disk.wanted == "stopped" else "ready" if self._ready else "starting"
        return {
            "openclaw_version": self._told["openclaw_version"],
            "cpu_percent": 1.0,
            "memory_total_bytes": 4 * _GB,
            "memory_used_bytes": _GB,
            "disk_total_bytes": 40 * _GB,
            "disk_free_bytes": 30 * _GB,
            "gateway": {"state": state, "generation": disk.generation},
            "models": self._models() if self._ready else [],
            "configuration_id": disk.configuration["id"] if disk.configuration else None,
        }

    def _models(self) -> list[str]:
        document: dict[str, Any] = (self._disk.configuration or {}).get("document", {})
        return [f"openrouter/{model['id']}" for model in document["models"]["providers"]["openrouter"]["models"]]

    async def _call(self, method: str, path: str, secret: str, body: Any = None) -> Any:
        """The answer's JSON, an empty object without content; None when it was refused."""
        response = await self._http.request(method, path, json=body, headers={"Authorization": f"Bearer {secret}"})
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            log.info("hollow_agent.refused", path=path, status=response.status_code)
            return None
        return response.json() if response.content else {}


def _issues(document: Mapping[str, Any]) -> list[str]:
    """A hollow server has no OpenClaw to ask; it refuses what no OpenClaw takes."""
    return [] if document.get("gateway", {}).get("mode") == "local" else ["gateway.mode: must be local"]
