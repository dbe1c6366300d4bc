"""The stand-in of OpenRouter, mounted in process or served on a loopback port."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from clawdeploy_emulators import OpenRouterSettings, create_openrouter
from tests.contracts.openrouter_description import judge
from tests.contracts.serving import served

MANAGEMENT_KEY = "sk-or-v1-" + "7" * 64
SATURDAY = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    now: datetime = SATURDAY

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **step: float) -> None:
        self.now += timedelta(**step)


@dataclass
class OpenRouter:
    """A stand-in under test: its application, its clock, and a client whose every answer is judged."""

    app: FastAPI
    clock: Clock = field(repr=False)
    http: httpx.AsyncClient

    async def mint(self, **body: Any) -> tuple[dict[str, Any], dict[str, str]]:
        """A new key: what is published of it, and the headers that show it."""
        answer = await self.http.post("/api/v1/keys", json={"name": "agent", **body})
        assert answer.status_code == 201, answer.text
        return answer.json()["data"], {"Authorization": f"Bearer {answer.json()['key']}"}

    async def chat(self, headers: dict[str, str], text: str = "Hello", **body: Any) -> httpx.Response:
        """Say one thing to a model."""
        request = {"model": "openai/gpt-5.2", "messages": [{"role": "user", "content": text}], **body}
        return await self.http.post("/api/v1/chat/completions", json=request, headers=headers)

    async def key(self, hash_: str) -> dict[str, Any]:
        """What is published of a key now."""
        return (await self.http.get(f"/api/v1/keys/{hash_}")).json()["data"]

    async def billed(self, hash_: str) -> dict[str, Any]:
        """The line of a key in the stand-in's own books."""
        books = (await self.http.get("/_emulator/usage")).json()
        return next(line for line in books["keys"] if line["hash"] == hash_)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@asynccontextmanager
async def mounted(state_file: Path, clock: Clock, **options: Any) -> AsyncGenerator[OpenRouter]:
    """A stand-in mounted in process; its client shows the management key unless told otherwise."""
    settings = OpenRouterSettings(state_file=state_file, management_key=MANAGEMENT_KEY, clock=clock, **options)
    app = create_openrouter(settings)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://openrouter",
        headers={"Authorization": f"Bearer {MANAGEMENT_KEY}"},
        event_hooks={"response": [judge]},
    ) as http:
        yield OpenRouter(app=app, clock=clock, http=http)
    app.state.context.store.close()


@pytest.fixture
async def openrouter(tmp_path: Path, clock: Clock) -> AsyncIterator[OpenRouter]:
    """A fresh stand-in, mounted in process."""
    async with mounted(tmp_path / "openrouter.sqlite", clock) as standin:
        yield standin


@pytest.fixture
def openrouter_address(tmp_path: Path, clock: Clock) -> Iterator[str]:
    """A fresh stand-in, served by uvicorn on a loopback port; its address without the API's base path."""
    settings = OpenRouterSettings(
        state_file=tmp_path / "served.sqlite", management_key=MANAGEMENT_KEY, clock=clock, chunk_delay_seconds=0.001
    )
    with served(create_openrouter(settings)) as address:
        yield address
