"""Looking at one instance: ``/healthz`` of its gateway, and the provisioner's view of its channel and server.

OpenClaw answers unknown paths with 200 and a page, so only its own JSON (``{"ok": true, "status": "live"}``) counts as life.
"""

import asyncio
import json
import time
from dataclasses import dataclass, replace
from typing import Any, cast
from uuid import UUID

from clawdeploy_common.clock import utc_now
from clawdeploy_common.errors import TemporaryError
from clawdeploy_common.http import AsyncBaseTransport, AsyncClient, HTTPError, Limits
from clawdeploy_common.tokens import InternalTokens
from clawdeploy_events.health import ChannelHealth
from clawdeploy_events.lifecycle import ServerState
from clawdeploy_monitor.hysteresis import Probed
from clawdeploy_monitor.knocking import Unintelligible, get

MOST_BYTES = 64 * 1024
_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One instance to look at, and the lifecycle version known when it was chosen."""

    instance_id: UUID
    account_id: UUID
    lifecycle_version: int
    probe_url: str | None
    ask_provisioner: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeOptions:
    """Where the provisioner is, how long an answer may take (seconds), and how much free disk an agent needs (bytes)."""

    provisioner_url: str
    timeout_s: float
    concurrency: int
    disk_free_min_bytes: int


class NotAlive(TemporaryError):
    """The gateway did not say that it lives; the reason is the message."""

    code = "not-alive"


class Probes:
    """Probes instances; answers are bounded in time and size, because a tenant's agent gives them."""

    def __init__(
        self,
        tokens: InternalTokens,
        options: ProbeOptions,
        *,
        provisioner: AsyncBaseTransport | None = None,
    ) -> None:
        limits = Limits(max_connections=options.concurrency, max_keepalive_connections=options.concurrency)
        self._tokens = tokens
        self._options = options
        self._provisioner = AsyncClient(
            base_url=options.provisioner_url.rstrip("/"),
            timeout=options.timeout_s,
            limits=limits,
            trust_env=False,
            transport=provisioner,
        )

    async def close(self) -> None:
        """Close connections."""
        await self._provisioner.aclose()

    async def look(self, target: Target) -> Probed:
        """Probe one instance; never raises, what went wrong is the result's detail."""
        view = await self._view(target) if target.ask_provisioner or target.probe_url is None else None
        if target.probe_url is None:
            return self._by_provider(view)
        probed = await self._knock(target.probe_url)
        if view is None and not probed.alive:
            view = await self._view(target)
        return probed if view is None else self._with_view(probed, view)

    async def _knock(self, probe_url: str) -> Probed:
        at, began = utc_now(), time.monotonic()
        try:
            async with asyncio.timeout(self._options.timeout_s):
                await _live(f"{probe_url.rstrip('/')}/healthz")
        except (NotAlive, Unintelligible) as error:
            return Probed(at=at, alive=False, detail=str(error))
        except TimeoutError:
            return Probed(at=at, alive=False, detail=f"no answer within {self._options.timeout_s:g} s")
        except ConnectionRefusedError:
            return Probed(at=at, alive=False, detail="nothing answers at its address: OpenClaw does not run there")
        except (OSError, ValueError):
            return Probed(at=at, alive=False, detail="its answer broke off")
        return Probed(at=at, alive=True, latency_ms=round((time.monotonic() - began) * 1000))

    async def _view(self, target: Target) -> dict[str, Any] | None:
        """The provisioner's view, None when it does not answer."""
        token = self._tokens.issue("provisioner", account_id=target.account_id)
        path = f"/internal/instances/{target.instance_id}/probe"
        try:
            response = await self._provisioner.get(path, headers={"Authorization": f"Bearer {token}"})
            answer = response.json() if response.status_code == _OK else None
        except (HTTPError, ValueError, OSError):
            return None
        return cast("dict[str, Any]", answer) if isinstance(answer, dict) else None

    def _by_provider(self, view: dict[str, Any] | None) -> Probed:
        """Life as the provider sees it, for an instance that cannot be reached directly."""
        if view is None:
            return Probed(at=utc_now(), alive=False, detail="neither the instance nor the provisioner can be asked")
        alive = _server_state(view) is ServerState.RUNNING
        return self._with_view(Probed(at=utc_now(), alive=alive, detail=_text(view.get("detail"))), view)

    def _with_view(self, probed: Probed, view: dict[str, Any]) -> Probed:
        return replace(
            probed,
            detail=probed.detail or _text(view.get("detail")),
            channel=ChannelHealth(str(view.get("channel", "unknown"))),
            channel_detail=_text(view.get("channel_detail")),
            server_state=_server_state(view),
            is_starting=view.get("starting") is True,
            impairment=self._impairment(view.get("disk_free_bytes")),
        )

    def _impairment(self, disk_free_bytes: Any) -> str | None:
        """A gateway whose disk is full answers and does nothing."""
        if isinstance(disk_free_bytes, int) and disk_free_bytes < self._options.disk_free_min_bytes:
            return f"its disk is full: {disk_free_bytes} bytes are free"
        return None


async def _live(url: str) -> None:
    status, body = await get(url, most_bytes=MOST_BYTES)
    if status != _OK:
        raise NotAlive(f"/healthz answered {status}")
    if not _says_live(body):
        raise NotAlive("/healthz did not say that the gateway lives")


def _says_live(body: bytes) -> bool:
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("ok") is True and answer.get("status") == "live"  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - JSON


def _server_state(view: dict[str, Any]) -> ServerState:
    return ServerState(str(view.get("server_state", "unknown")))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
