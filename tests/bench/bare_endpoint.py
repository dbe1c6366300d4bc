"""The bare endpoint: FastAPI + asyncpg, one request, one transaction, two inserts. `python -m tests.bench.bare_endpoint URL PORT`."""

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from clawdeploy_common.ids import new_id

TABLES = """
    CREATE TABLE bare_instances (id uuid PRIMARY KEY, name text NOT NULL, model text NOT NULL, channel text NOT NULL,
                                 created_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE bare_requests (id uuid PRIMARY KEY, instance_id uuid NOT NULL, data bytea NOT NULL)
"""
POOL = 10


class Create(BaseModel):
    """What is sent."""

    name: str
    model: str
    channel: str


class Created(BaseModel):
    """What is answered."""

    id: UUID
    request: UUID
    name: str
    model: str
    channel: str
    status: str = "pending"


def create_app(url: str) -> FastAPI:
    """One route."""
    pools: list[Any] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        pools.append(await asyncpg.create_pool(url, min_size=POOL, max_size=POOL))
        yield
        await pools[0].close()

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/instances", status_code=201)
    async def create(body: Create) -> Created:
        created = Created(id=new_id(), request=new_id(), name=body.name, model=body.model, channel=body.channel)
        data = json.dumps({"name": body.name, "model": body.model, "padding": "x" * 500}).encode()
        async with pools[0].acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO bare_instances (id, name, model, channel) VALUES ($1, $2, $3, $4)",
                created.id,
                body.name,
                body.model,
                body.channel,
            )
            await connection.execute(
                "INSERT INTO bare_requests (id, instance_id, data) VALUES ($1, $2, $3)",
                created.request,
                created.id,
                data,
            )
        return created

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(sys.argv[1]), port=int(sys.argv[2]), loop="uvloop", access_log=False, log_level="warning")
