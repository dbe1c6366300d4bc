"""Liveness, readiness and metrics, the same on every service."""

import hmac
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import SecretStr
from starlette.responses import JSONResponse, Response

from clawdeploy_common.errors import Unauthorized

if TYPE_CHECKING:
    from clawdeploy_common.service import Service


def health_router(service: "Service") -> APIRouter:
    """``/healthz``: the process lives. ``/readyz``: its database answers; broker and consumers are reported, not required."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Whether the process lives")
    async def healthz() -> dict[str, str]:
        return {"status": "ok", "service": service.name}

    @router.get("/readyz", summary="Whether the service can do its work", responses={503: {"description": "Not ready"}})
    async def readyz() -> JSONResponse:
        database = await service.database.answers()
        body: dict[str, Any] = {
            "status": "ready" if database and service.migrated else "starting",
            "service": service.name,
            "database": "connected" if database else "away",
            "relay": "connected" if service.relay.connected else "away",
            "consumers": "connected" if all(s.connected for s in service.subscriptions) else "away",
        }
        return JSONResponse(body, status_code=200 if body["status"] == "ready" else 503)

    @router.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def metrics(request: Request) -> Response:
        """Whoever has CLAWDEPLOY_METRICS_TOKEN, as a bearer token, may read them; everybody when none is set."""
        _admit(request, service.settings.metrics_token)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


def _admit(request: Request, token: SecretStr | None) -> None:
    if token is None:
        return
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.encode(), token.get_secret_value().encode()):
        raise Unauthorized("metrics are read with CLAWDEPLOY_METRICS_TOKEN as a bearer token")
