"""The front door: what this is, whether it is well, and its documentation; no sign-in."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import HTMLResponse

from clawdeploy_api.documentation import page
from clawdeploy_api.gateway import TheGateway
from clawdeploy_common.clock import utc_now

router = APIRouter(tags=["front"])


class Index(BaseModel):
    """Where to go from here."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "ClawDeploy",
                    "api": "http://127.0.0.1:8787/v1",
                    "documentation": "http://127.0.0.1:8787/docs",
                    "openapi": "http://127.0.0.1:8787/openapi.json",
                    "health": "http://127.0.0.1:8787/api/health",
                }
            ]
        }
    )

    name: str
    api: str
    documentation: str
    openapi: str
    health: str


class PublicHealth(BaseModel):
    """Whether the gateway is well, and whether a Docker engine is connected."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"status": "ok", "timestamp": "2026-11-21T10:00:00Z", "docker": "disconnected"}]
        }
    )

    status: Literal["ok"]
    timestamp: datetime
    docker: Literal["connected", "disconnected"]


@router.get("/", summary="Where to go from here")
async def index(gateway: TheGateway) -> Index:
    """Addresses of the API, its documentation and its health."""
    base = gateway.settings.public_url.rstrip("/")
    return Index(
        name="ClawDeploy",
        api=f"{base}/v1",
        documentation=f"{base}/docs",
        openapi=f"{base}/openapi.json",
        health=f"{base}/api/health",
    )


@router.get("/api/health", summary="Whether the gateway is well")
async def public_health(gateway: TheGateway) -> PublicHealth:
    """Without sign-in. `/readyz` tells more."""
    docker = (await gateway.engines.known()).docker
    return PublicHealth(status="ok", timestamp=utc_now(), docker="connected" if docker else "disconnected")


@router.get("/docs", include_in_schema=False)
async def documentation(request: Request) -> HTMLResponse:
    """Every operation on one page, made from the OpenAPI document; nothing is loaded from elsewhere."""
    return HTMLResponse(page(request.app.openapi()))
