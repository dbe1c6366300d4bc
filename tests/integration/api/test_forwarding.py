"""What other services answer, passed through; and what is said when they do not."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request
from httpx import AsyncClient, ReadTimeout
from starlette.responses import JSONResponse, Response, StreamingResponse
from tests.engines.databases import Database
from tests.integration.api.lifecycle import Story, story
from tests.integration.api.platform import Platform, settings_for

from clawdeploy_common.clock import utc_now
from clawdeploy_common.tokens import InternalTokens

CURSOR = "AZNvLnscfD6PAG0cKptOAw"
NEW_KEY = "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e05"
CHAT = {"messages": [{"role": "user", "content": "Hello"}], "temperature": 0.5}
SERVER: dict[str, Any] = {
    "id": "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e03",
    "kind": "rented",
    "name": None,
    "instance_id": "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e01",
    "account_id": "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e02",
    "provider": "hetzner",
    "region": "nbg1",
    "plan": "basic",
    "provider_ref": "4711",
    "state": "running",
    "detail": None,
    "host": "203.0.113.7",
    "observed_at": "2026-11-21T12:00:00Z",
    "accepted_at": "2026-11-21T11:50:00Z",
    "destroyed_at": None,
    "paid_until": None,
    "memory_mb": None,
}
_UNKNOWN = dict.fromkeys(("instance_id", "account_id", "plan", "provider_ref", "observed_at", "accepted_at"))
_FOUND = {"kind": "own", "name": "nas", "provider": "own", "region": "home", "state": "checking", "host": "nas.test"}
OWN: dict[str, Any] = {**SERVER, **_UNKNOWN, **_FOUND}
PRIVATE_KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nof the machine\n"  # pragma: allowlist secret
MACHINE = {"name": "nas", "address": "nas.test", "ssh_private_key": PRIVATE_KEY, "region": "home"}


class Neighbour:
    """All other services in one process, each path as `services` agreed; it notes what it was asked."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.asked: list[tuple[str, str, dict[str, Any] | None]] = []
        self.left = asyncio.Event()
        self.observations: list[dict[str, Any]] = []
        self.running = True
        self.app.add_api_route("/{path:path}", self.answer, methods=["GET", "POST", "DELETE"], response_model=None)

    async def answer(self, request: Request, path: str) -> Response:
        raw = await request.body()
        body: dict[str, Any] | None = json.loads(raw) if raw else None
        self.asked.append((request.method, f"/{path}?{request.url.query}", body))
        token = request.headers["authorization"].removeprefix("Bearer ")
        service = "monitor" if path == "internal/observations" else "provisioner"
        service = "billing" if "dead-letters" in path else service
        self.caller = InternalTokens(self.secret, service=service).verify(token)
        if path == "internal/observations":
            return JSONResponse({"items": self.observations})
        if path.endswith("chat/completions"):
            return self._chat(body or {})
        if path == "internal/operator/sealing-keys/rotate":
            return JSONResponse({"sealing_key_id": NEW_KEY})
        if path.startswith("internal/operator/servers"):
            return self._servers(request.method, path)
        if path == "internal/dead-letters":
            return JSONResponse({"items": [], "next_cursor": None})
        return JSONResponse({"logs": "one\ntwo", "docker": True})

    secret: Any = None

    trouble: dict[str, Any] | None = None

    def _servers(self, method: str, path: str) -> Response:
        if method == "DELETE" and self.running:
            problem = {"status": 409, "code": "server-taken", "title": "Taken", "detail": "by an agent"}
            problem["instance_id"] = NEW_KEY
            return JSONResponse(problem, status_code=409, media_type="application/problem+json")
        if method == "DELETE":
            return Response(status_code=204)
        if method == "POST":
            return JSONResponse(OWN, status_code=201)
        listed = {"items": [SERVER | {"port": 22}], "next_cursor": CURSOR}
        return JSONResponse(listed if path.endswith("servers") else OWN)

    def _chat(self, body: dict[str, Any]) -> Response:
        if self.trouble:
            return JSONResponse(self.trouble, status_code=503, media_type="application/problem+json")
        if not self.running:
            problem = {"status": 409, "code": "not-running", "title": "The agent does not run", "detail": "start it"}
            return JSONResponse(problem, status_code=409, media_type="application/problem+json")
        if body.get("stream"):
            return StreamingResponse(self._words(), media_type="text/event-stream")
        return JSONResponse({"choices": [{"message": {"content": "Hello!"}}]})

    async def _words(self) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b'data: {"choices": []}\n\n'
                await asyncio.sleep(0.05)
        finally:
            self.left.set()


@asynccontextmanager
async def served(app: Any) -> AsyncGenerator[str]:
    """An app on a port of its own."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def neighbour() -> Neighbour:
    return Neighbour()


@pytest.fixture
async def told(database: Database, neighbour: Neighbour) -> AsyncGenerator[Story]:
    """A running instance of a gateway whose neighbours answer."""
    async with served(neighbour.app) as url:
        settings = settings_for(database, provisioner_url=url, monitor_url=url, billing_url=url)
        neighbour.secret = settings.internal_secret
        platform = Platform(settings)
        await platform.start()
        told = await story(platform, await platform.tenant())
        await told.deployed()
        yield told
        await platform.stop()


async def test_logs_come_from_the_provisioner_for_the_callers_account(told: Story, neighbour: Neighbour) -> None:
    assert await told.tenant.get(f"/v1/instances/{told.id}/logs", tail=5) == {"logs": "one\ntwo"}
    assert neighbour.asked[-1][:2] == ("GET", f"/internal/instances/{told.id}/logs?tail=5")
    assert (neighbour.caller.issuer, neighbour.caller.account_id, neighbour.caller.operator) == (
        "api",
        told.tenant.id,
        False,
    )
    await told.tenant.get(f"/v1/deployments/{told.operation}/logs")
    assert neighbour.asked[-1][1] == f"/internal/operations/{told.operation}/logs?"


async def test_chat_is_passed_on_as_it_came(told: Story, neighbour: Neighbour) -> None:
    answer = await told.tenant.http.post(f"/v1/instances/{told.id}/chat/completions", json=CHAT)
    assert answer.json()["choices"][0]["message"]["content"] == "Hello!"
    assert neighbour.asked[-1][2] == CHAT


async def test_an_agent_that_does_not_run_says_so(told: Story, neighbour: Neighbour) -> None:
    neighbour.running = False
    answer = await told.tenant.http.post(f"/v1/instances/{told.id}/chat/completions", json=CHAT)
    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (409, "not-running", "start it")


@pytest.mark.parametrize(
    ("code", "shown", "detail"),
    [
        ("gateway-busy", "agent-unavailable", "it is draining"),
        ("database-away", "service-unavailable", "provisioner cannot answer this now"),
        ("log-incomplete", "service-unavailable", "provisioner cannot answer this now: it is draining"),
    ],
)
async def test_an_agents_trouble_is_told_apart_from_the_platforms(
    told: Story, neighbour: Neighbour, code: str, shown: str, detail: str
) -> None:
    neighbour.trouble = {"status": 503, "code": code, "title": "Not now", "detail": "it is draining"}
    answer = await told.tenant.http.post(f"/v1/instances/{told.id}/chat/completions", json=CHAT)
    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (503, shown, detail)
    assert int(answer.headers["retry-after"]) >= 1


async def test_when_the_caller_leaves_the_agent_stops_writing(told: Story, neighbour: Neighbour) -> None:
    async with served(told.platform.app) as url, AsyncClient(base_url=url) as http:
        headers = {"Authorization": f"Bearer {told.tenant.key}"}
        path = f"/v1/instances/{told.id}/chat/completions"
        async with http.stream("POST", path, json={**CHAT, "stream": True}, headers=headers) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert (await anext(answer.aiter_text())).startswith("data:")
        await asyncio.wait_for(neighbour.left.wait(), 30)


async def test_a_live_stream_over_a_real_connection_ends_when_its_reader_leaves(told: Story) -> None:
    async with served(told.platform.app) as url, AsyncClient(base_url=url, timeout=1) as http:
        headers = {"Authorization": f"Bearer {told.tenant.key}", "Last-Event-ID": "0"}
        with suppress(ReadTimeout):
            async with http.stream("GET", "/v1/stream", headers=headers) as answer:
                lines = [line async for line in answer.aiter_lines() if line.startswith("event:") or len(line) > 10_000]
                assert lines
        for _ in range(300):
            if not told.platform.gateway.stream._open:  # pyright: ignore[reportPrivateUsage] - the claim
                return
            await asyncio.sleep(0.1)
        pytest.fail("the stream was not closed")


async def test_monitors_fresh_observation_is_what_is_shown(told: Story, neighbour: Neighbour) -> None:
    seen = utc_now().isoformat()
    item = {"instance_id": str(told.id), "process": "healthy", "channel": "disabled", "observed_at": seen}
    neighbour.observations = [{**item, "lifecycle_version": told.version}]
    told.platform.gateway.observations._known.clear()  # pyright: ignore[reportPrivateUsage] - five seconds are long here
    instance = await told.now()
    assert (instance["health"]["process"], instance["status"]) == ("healthy", "running")
    assert instance["last_heartbeat_at"]


async def test_public_health_tells_of_docker(told: Story) -> None:
    answer = await told.platform.client().get("/api/health")
    assert (answer.json()["status"], answer.json()["docker"]) == ("ok", "connected")


async def test_dead_letters_are_read_service_by_service(told: Story, neighbour: Neighbour) -> None:
    found = await told.platform.admin.get("/v1/admin/dead-letters", service="billing")
    assert found == {"items": [], "next_cursor": None}
    assert (neighbour.caller.operator, neighbour.caller.account_id) == (True, None)


async def test_recorded_servers_are_listed_for_operators_only(told: Story, neighbour: Neighbour) -> None:
    assert (await told.tenant.http.get("/v1/admin/servers")).status_code == 403
    found = await told.platform.admin.get("/v1/admin/servers", limit=1)
    assert found == {"items": [SERVER], "next_cursor": CURSOR}
    assert neighbour.asked[-1][:2] == ("GET", "/internal/operator/servers?limit=1")
    assert (neighbour.caller.operator, neighbour.caller.account_id) == (True, None)
    await told.platform.admin.get("/v1/admin/servers", cursor=CURSOR)
    assert neighbour.asked[-1][1] == f"/internal/operator/servers?cursor={CURSOR}&limit=50"
    malformed = await told.platform.admin.http.get("/v1/admin/servers", params={"limit": 0})
    assert malformed.status_code == 422


async def test_a_machine_of_the_operators_own_is_added_once_and_its_key_is_not_shown(
    told: Story, neighbour: Neighbour
) -> None:
    """INVARIANT: a private key that was given is in no answer, no audit entry and no row of the gateway."""
    assert (await told.tenant.http.post("/v1/admin/servers", json=MACHINE)).status_code == 403
    key = {"Idempotency-Key": "one"}
    first = await told.platform.admin.http.post("/v1/admin/servers", json=MACHINE, headers=key)
    assert (first.status_code, first.json()) == (201, OWN)
    assert first.headers["location"] == f"/v1/admin/servers/{OWN['id']}"
    method, path, body = neighbour.asked[-1]
    assert (method, path) == ("POST", "/internal/operator/servers?")
    assert body == MACHINE | {"ssh_port": 22, "ssh_user": "root", "host_key": None, "memory_mb": None}
    asked = len(neighbour.asked)
    again = await told.platform.admin.http.post("/v1/admin/servers", json=MACHINE, headers=key)
    assert (again.status_code, again.json(), len(neighbour.asked)) == (201, OWN, asked)
    assert await told.platform.admin.get(f"/v1/admin/servers/{OWN['id']}") == OWN
    wrong = await told.platform.admin.http.post("/v1/admin/servers", json=MACHINE | {"name": "a b"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "name")
    assert "of the machine" not in first.text + wrong.text


async def test_a_machine_with_an_agent_on_it_is_not_removed_and_the_instance_is_named(
    told: Story, neighbour: Neighbour
) -> None:
    path = f"/v1/admin/servers/{OWN['id']}"
    assert (await told.tenant.http.delete(path)).status_code == 403
    refused = await told.platform.admin.http.delete(path)
    assert (refused.status_code, refused.json()["code"], refused.json()["instance_id"]) == (
        409,
        "server-taken",
        NEW_KEY,
    )
    neighbour.running = False
    removed = await told.platform.admin.http.delete(path, params={"lost": True})
    assert (removed.status_code, removed.content) == (204, b"")
    assert neighbour.asked[-1][:2] == ("DELETE", f"/internal/operator/servers/{OWN['id']}?lost=true")
    assert neighbour.caller.operator


async def test_operators_restart_a_server_and_others_do_not(told: Story, neighbour: Neighbour) -> None:
    path = f"/v1/admin/servers/{OWN['id']}/reboot"
    assert (await told.tenant.http.post(path)).status_code == 403
    assert not [asked for asked in neighbour.asked if asked[0] == "POST"]
    assert (await told.platform.admin.http.post(path)).status_code == 204
    assert neighbour.asked[-1][:2] == ("POST", f"/internal/operator/servers/{OWN['id']}/reboot?")
    assert neighbour.caller.operator


@pytest.mark.parametrize(
    ("method", "path", "service"),
    [
        ("GET", "/v1/instances/{id}/logs", "provisioner"),
        ("GET", "/v1/instances/{id}/logs/stream", "provisioner"),
        ("POST", "/v1/instances/{id}/chat/completions", "provisioner"),
        ("GET", "/v1/deployments/{operation}/logs", "provisioner"),
        ("GET", "/v1/admin/dead-letters?service=billing", "billing"),
        ("GET", "/v1/admin/servers", "provisioner"),
        ("POST", "/v1/admin/services/monitor/replay", "monitor"),
    ],
)
async def test_a_service_that_is_down_is_named(platform: Platform, method: str, path: str, service: str) -> None:
    instance = await platform.admin.create()
    path = path.format(id=instance["id"], operation=instance["operation"]["id"])
    answer = await platform.admin.http.request(method, path, json=CHAT if "chat" in path else None)
    assert (answer.status_code, answer.json()["code"], answer.json()["service"]) == (
        503,
        "service-unavailable",
        service,
    )
    assert answer.headers["retry-after"]


async def test_the_sealing_key_is_rotated_by_operators_only(told: Story, neighbour: Neighbour) -> None:
    path = "/v1/admin/sealing-keys/rotate"
    assert (await told.tenant.http.post(path)).status_code == 403
    answer = await told.platform.admin.http.post(path)
    assert (answer.status_code, answer.json()) == (200, {"sealing_key_id": NEW_KEY})
    assert neighbour.asked[-1][:2] == ("POST", "/internal/operator/sealing-keys/rotate?")
    assert neighbour.caller.operator
