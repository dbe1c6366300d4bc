"""The tiny gateway, put together; it runs in the process of a test."""

import hashlib
from typing import Any
from uuid import UUID

from fastapi import APIRouter, FastAPI

import tests.light.gateway
from clawdeploy_common.service import Service
from clawdeploy_common.settings import ServiceSettings
from tests.light.gateway.models import metadata


def build(settings: ServiceSettings) -> tuple[Service, FastAPI]:
    """The service and its app: every configuration version is empty."""
    package_file = tests.light.gateway.__file__ or ""
    service = Service(settings, name="api", package_file=package_file, metadata=metadata)
    router = APIRouter()

    @router.get("/internal/instances/{instance_id}/configs/{version}")
    async def config(instance_id: UUID, version: int) -> dict[str, Any]:
        return {"version": version, "content_hash": hashlib.sha256(b"{}").hexdigest(), "config": {}}

    return service, service.app(title="A tiny gateway", routers=[router])
