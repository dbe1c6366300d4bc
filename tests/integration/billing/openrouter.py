"""The OpenRouter stand-in mounted in process: keys are minted and spent, its own books are read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from clawdeploy_emulators import OpenRouterSettings, create_openrouter

MANAGEMENT_KEY = "sk-or-v1-" + "7" * 64
BASE = "http://openrouter/api/v1"


@dataclass
class Counting(httpx.AsyncBaseTransport):
    """A transport that remembers the calls it carried."""

    inner: httpx.AsyncBaseTransport
    calls: list[str]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(f"{request.method} {request.url.path}")
        return await self.inner.handle_async_request(request)


class OpenRouter:
    """A stand-in, its control routes, and the transport that leads to it."""

    def __init__(self, folder: Path) -> None:
        self._app = create_openrouter(
            OpenRouterSettings(state_file=folder / "openrouter.sqlite", management_key=MANAGEMENT_KEY)
        )
        self.calls: list[str] = []
        self.transport = Counting(httpx.ASGITransport(self._app), self.calls)
        self._http = httpx.AsyncClient(
            transport=httpx.ASGITransport(self._app),
            base_url=BASE,
            headers={"Authorization": f"Bearer {MANAGEMENT_KEY}"},
        )

    async def close(self) -> None:
        """Close the client."""
        await self._http.aclose()

    async def mint(self) -> tuple[str, str]:
        """A new key: its hash and its secret."""
        answer = (await self._http.post("/keys", json={"name": "agent", "limit": 5})).json()
        return answer["data"]["hash"], answer["key"]

    async def chat(self, secret: str, text: str = "Hello") -> None:
        """Spend something."""
        body = {"model": "openai/gpt-5.2", "messages": [{"role": "user", "content": text}]}
        answer = await self._http.post("/chat/completions", json=body, headers={"Authorization": f"Bearer {secret}"})
        assert answer.status_code == 200, answer.text

    async def disable(self, key_hash: str) -> None:
        """Disable a key, as a destroy does."""
        await self._http.patch(f"/keys/{key_hash}", json={"disabled": True})

    async def delete(self, key_hash: str) -> None:
        """Delete a key for good."""
        await self._http.delete(f"/keys/{key_hash}")

    async def fault(self, **fault: Any) -> None:
        """Switch one fault on."""
        answer = await self._http.put("http://openrouter/_emulator/faults", json=[fault])
        assert answer.status_code == 200, answer.text

    async def billed(self, key_hash: str) -> int:
        """What the stand-in's own books say of a key, micro-USD."""
        usage = (await self._http.get("http://openrouter/_emulator/usage")).json()
        return next(line["cost_micros"] for line in usage["keys"] if line["hash"] == key_hash)
