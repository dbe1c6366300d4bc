"""Liveness, readiness and metrics, the same on every service."""

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

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
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router
