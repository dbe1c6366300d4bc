"""A small gateway that answers as the public API does, for the command line to speak to over real HTTP."""

import asyncio
import json
import signal
import threading
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from tests.engines.ports import free_ports

API_KEY = "claw_" + "k" * 43  # pragma: allowlist secret
MOST_EVENTS = 200
INTERRUPT = "press Ctrl-C"
Json = dict[str, Any]


def now() -> str:
    """This moment, as the API writes it."""
    return datetime.now(UTC).isoformat()


class SmallPlatform:
    """Its state: instances, the operations they are in, and what it was asked with."""

    def __init__(self) -> None:
        self.instances: dict[str, Json] = {}
        self.operations: dict[str, Json] = {}
        self.idempotency_keys: list[str] = []
        self.bodies: list[Json] = []
        self.fails = False
        self.has_operations = True
        self.events = 8
        self.tails: list[int] = []
        self.chats: list[Json] = []
        self.paid_until: str | None = None

    def begin(self, instance: Json, kind: str) -> Json:
        """Begin an operation of two steps; each look at it takes it one further."""
        if not self.has_operations:
            return instance
        steps = [
            {"name": name, "title": None, "state": "pending", "started_at": None, "finished_at": None, "message": None}
            for name in ("reserve", "start")
        ]
        operation: Json = {
            "id": str(uuid4()),
            "instance_id": instance["id"],
            "kind": kind,
            "state": "queued",
            "steps": steps,
            "error": None,
            "created_at": now(),
            "started_at": now(),
            "finished_at": None,
        }
        self.operations[operation["id"]] = operation
        instance["operation"] = operation
        return instance

    def advance(self, operation: Json) -> Json:
        """Take an operation one step further."""
        waiting = [step for step in operation["steps"] if step["state"] != "done"]
        if waiting:
            waiting[0].update(state="done", started_at=now(), finished_at=now())
        elif self.fails:
            operation.update(state="failed", error="the disk is full", finished_at=now())
        else:
            operation.update(state="succeeded", finished_at=now())
            instance = self.instances[operation["instance_id"]]
            instance["status"] = {"destroy": "deleted", "stop": "stopped", "pause": "paused"}.get(
                operation["kind"], "running"
            )
            instance["operation"] = None
        return operation


def problem(status: int, title: str, **more: Any) -> Response:
    """An RFC 9457 answer."""
    body = {"title": title, "status": status, **more}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


def create_app(platform: SmallPlatform) -> FastAPI:
    """The routes the command line uses."""
    app = FastAPI()
    _sign_in(app, platform)
    _instances(app, platform)
    _agent(app, platform)
    _logs(app, platform)
    _operator(app, platform)
    _servers(app, platform)
    return app


def _sign_in(app: FastAPI, platform: SmallPlatform) -> None:
    @app.middleware("http")
    async def check(request: Request, call_next: Any) -> Any:
        if request.headers.get("authorization") != f"Bearer {API_KEY}":
            return problem(401, "Sign in first")
        if key := request.headers.get("idempotency-key"):
            platform.idempotency_keys.append(key)
        return await call_next(request)


def _instances(app: FastAPI, platform: SmallPlatform) -> None:
    @app.post("/v1/instances", status_code=201)
    async def create(body: Json) -> Any:
        platform.bodies.append(body)
        if body["model"] == "nonsense":
            return problem(
                422, "Some fields are not valid", errors=[{"field": "model", "reason": "is not in the catalogue"}]
            )
        taken = body["name"].lower() in {each["slug"] for each in platform.instances.values()}
        instance: Json = {
            "id": str(uuid4()),
            "name": body["name"],
            "slug": body["name"].lower() + ("-9fdf33" if taken else ""),
            "status": "pending",
            "model": body["model"],
            "channel": body["channel"],
            "channel_status": "needs_token",
            "created_at": now(),
        }
        platform.instances[instance["id"]] = instance
        return platform.begin(instance, "deploy")

    @app.get("/v1/instances")
    async def page(cursor: int = 0, slug: str | None = None) -> Any:
        found = [each for each in platform.instances.values() if slug in {None, each["slug"]}]
        items = found[cursor : cursor + 2]
        more = cursor + 2 < len(found)
        return {"items": items, "next_cursor": str(cursor + 2) if more else None}

    @app.get("/v1/instances/{instance_id}")
    async def one(instance_id: str) -> Any:
        return platform.instances.get(instance_id) or problem(404, "There is no such instance")

    @app.delete("/v1/instances/{instance_id}", status_code=202)
    async def delete(instance_id: str) -> Any:
        platform.instances[instance_id]["status"] = "deleting"
        return platform.begin(platform.instances[instance_id], "destroy")

    @app.post("/v1/instances/{instance_id}/{verb}", status_code=202)
    async def act(instance_id: str, verb: str) -> Any:
        return platform.begin(platform.instances[instance_id], verb)

    @app.get("/v1/instances/{instance_id}/operations")
    async def operations(instance_id: str) -> Any:
        found = [each for each in platform.operations.values() if each["instance_id"] == instance_id]
        return {"items": found[::-1], "next_cursor": None}

    @app.post("/v1/operations/{operation_id}/cancel")
    async def cancel(operation_id: str) -> Any:
        platform.operations[operation_id].update(state="cancelled", finished_at=now())
        return platform.operations[operation_id]

    @app.get("/v1/operations/{operation_id}")
    async def operation(operation_id: str) -> Any:
        return platform.advance(platform.operations[operation_id])


def _agent(app: FastAPI, platform: SmallPlatform) -> None:
    @app.post("/v1/instances/{instance_id}/chat/completions")
    async def chat(instance_id: str, body: Json) -> Any:
        platform.chats.append(body)
        words = ["I heard: ", body["messages"][-1]["content"], " \x1b[2J✓"]
        if not body.get("stream"):
            return {"choices": [{"message": {"role": "assistant", "content": "".join(words)}}]}
        interrupted = body["messages"][-1]["content"] == INTERRUPT
        return StreamingResponse(_interrupted(words) if interrupted else _chunks(words), media_type="text/event-stream")

    @app.get("/v1/instances/{instance_id}/cost")
    async def cost() -> Any:
        amount = {"cost_micros": 12, "charge_micros": 15}
        line = {"kind": "llm", "quantity": 300, "unit": "token", "price_version": 1, **amount}
        return {"currency": "USD", "as_of": now(), "lines": [line], **amount}

    @app.get("/v1/cost")
    async def account_cost() -> Any:
        amount = {"cost_micros": 10, "charge_micros": 1_500_000}
        shares = [{"instance_id": each["id"], "name": each["name"], **amount} for each in platform.instances.values()]
        return {"currency": "USD", "as_of": now(), "lines": [], "instances": shares, **amount}

    @app.get("/v1/events")
    async def events(after: int = 0, limit: int = 50) -> Any:
        if limit > MOST_EVENTS:
            return problem(422, "Some fields are not valid")
        positions = range(after + 1, min(after + limit, platform.events) + 1)
        items = [{"type": "deployment.requested.v1", "time": now(), "subject": str(each)} for each in positions]
        return {"items": items, "next_cursor": str(positions[-1] if positions else after)}

    @app.get("/v1/stream")
    async def stream() -> Any:
        return StreamingResponse(_news(), media_type="text/event-stream")


def _logs(app: FastAPI, platform: SmallPlatform) -> None:
    @app.get("/v1/instances/{instance_id}/logs")
    async def logs(tail: int) -> Any:
        return {"logs": "\n".join([f"line {number}" for number in range(100)][-tail:])}

    @app.get("/v1/instances/{instance_id}/logs/stream")
    async def follow(tail: int) -> Any:
        platform.tails.append(tail)
        if len(platform.tails) == 2:
            return problem(503, "A service of the platform does not answer")
        if len(platform.tails) > 3:
            return problem(404, "It was destroyed")
        lines = [f"event: line\ndata: line {number}\n\n" for number in range(tail)] or ["event: line\ndata: new\n\n"]
        return StreamingResponse(iter(lines), media_type="text/event-stream")


def _servers(app: FastAPI, platform: SmallPlatform) -> None:
    @app.get("/v1/admin/servers")
    async def servers(cursor: str | None = None) -> Json:
        gone: Json = {"id": "s1", "destroyed_at": now()} if cursor is None else {"id": "s2", "destroyed_at": None}
        gone["paid_until"] = platform.paid_until if cursor is None else None
        known = {
            "provider": "hetzner",
            "region": "nbg1",
            "state": "running",
            "host": "203.0.113.7",
            "instance_id": "i1",
            "kind": "rented",
            "name": None,
        }
        own = [machine] if cursor is not None and "name" in machine else []
        return {
            "items": [known | gone | {"observed_at": now()}, *own],
            "next_cursor": "more" if cursor is None else None,
        }

    machine: Json = {
        "id": "m1",
        "kind": "own",
        "provider": "own",
        "destroyed_at": None,
        "observed_at": now(),
        "instance_id": None,
    }

    @app.post("/v1/admin/servers", status_code=201)
    async def add(body: Json) -> Json:
        machine.update(body, host=body["address"], state="checking", detail=None)
        return machine

    @app.get("/v1/admin/servers/{server}")
    async def looked_at(server: str) -> Json:
        if machine["name"] == "toaster":
            machine.update(state="unreachable", detail="it lacks systemd")
        else:
            machine.update(state="free", memory_mb=4096)
        return machine | {"id": server}

    @app.post("/v1/admin/servers/{server}/reboot")
    async def reboot(server: str) -> Response:
        return (
            Response(status_code=204)
            if server == machine["id"]
            else problem(404, f"no server {server}", code="not-found")
        )

    @app.delete("/v1/admin/servers/{server}", status_code=204)
    async def remove(server: str, lost: bool = False) -> None:
        machine.update(state="gone" if lost else "removed")


def _operator(app: FastAPI, platform: SmallPlatform) -> None:
    @app.get("/v1/admin/dead-letters")
    async def letters(service: str | None = None) -> Any:
        letter = {"id": "7", "service": service or "api", "source": "s", "key": "k", "version": 3, "type": "t.v1"}
        return {
            "items": [{**letter, "reason": "r", "error": "boom", "attempts": 4, "parked_at": now()}],
            "next_cursor": None,
        }

    @app.post("/v1/admin/dead-letters/{service}/{letter}/{verb}")
    async def settle(service: str, letter: str, verb: str) -> Any:
        return {"id": letter, "service": service, "state": verb}

    @app.get("/v1/admin/fleet")
    async def fleet() -> Json:
        counts = {"servers": 3, "debts": 1, "orphans": 0, "removed": 2}
        return {"items": [{"name": "hetzner", "emulated": True, **counts, "last_sweep": now(), "lost": "0.10"}]}

    @app.post("/v1/admin/sealing-keys/rotate")
    async def rotate() -> Json:
        return {"sealing_key_id": "k2"}

    @app.post("/v1/admin/services/{service}/replay")
    async def replay(service: str) -> Any:
        return problem(503, "This is temporarily unavailable") if service == "away" else _replayed(service)


def _replayed(service: str) -> Json:
    return {"service": service, "events": 12, "seconds": 0.25}


async def _chunks(words: list[str]) -> AsyncGenerator[str]:
    for word in words:
        yield f"data: {json.dumps({'choices': [{'delta': {'content': word}}]})}\n\n"
    yield "data: [DONE]\n\n"


async def _interrupted(words: list[str]) -> AsyncGenerator[str]:
    """An answer that does not end; its reader, the main thread, is interrupted as by Ctrl-C."""
    yield await anext(_chunks(words))
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    await asyncio.sleep(60)


async def _news() -> AsyncGenerator[str]:
    for position in range(20):
        yield f'id: {position}\nevent: operation.step_changed.v1\ndata: {{"position": {position}}}\n\n'
        await asyncio.sleep(0.03)


@contextmanager
def serving(platform: SmallPlatform) -> Generator[str]:
    """Serve it in a thread; gives its address."""
    [port] = free_ports(1)
    config = uvicorn.Config(
        create_app(platform), host="127.0.0.1", port=port, log_level="error", lifespan="off", ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
