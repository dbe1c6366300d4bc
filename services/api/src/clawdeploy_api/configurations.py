"""Configuration versions: integers, unique per instance, each with the hash of its content."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from clawdeploy_api.public.instance import InstanceConfig
from clawdeploy_common.errors import InvalidInput, NotFound
from clawdeploy_common.work import UnitOfWork

MAX_BYTES = 64 * 1024
_ADD = text(
    """
    INSERT INTO configs (instance_id, version, account_id, content_hash, config, created_at)
    VALUES (:instance, :version, :account, :content_hash, :config, clock_timestamp())
    """
).bindparams(bindparam("config", type_=JSONB))
_FIND = text("SELECT version, content_hash, config FROM configs WHERE instance_id = :instance AND version = :version")


class PublishedConfig(BaseModel):
    """A configuration version as the provisioner fetches it."""

    version: int
    content_hash: str
    config: dict[str, Any]


def document(config: InstanceConfig | None) -> dict[str, Any]:
    """What was given, without what was not; raises InvalidInput above 64 KiB."""
    chosen = config.model_dump(exclude_none=True, mode="json") if config else {}
    if len(_canonical(chosen)) > MAX_BYTES:
        raise InvalidInput("config", f"must have at most {MAX_BYTES} bytes")
    return chosen


def for_agent(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of it an agent's own file is made of; the set of plugins travels with the request."""
    return {name: value for name, value in config.items() if name != "plugins"}


def plugins_of(config: Mapping[str, Any]) -> Literal["lean", "full"]:
    """The set of plugins chosen."""
    return "full" if config.get("plugins") == "full" else "lean"


def content_hash(config: Mapping[str, Any]) -> str:
    """SHA-256, hex, of the agent's part as canonical JSON."""
    return hashlib.sha256(_canonical(for_agent(config))).hexdigest()


async def add(uow: UnitOfWork, *, account_id: UUID, instance_id: UUID, version: int, config: dict[str, Any]) -> None:
    """Publish a version."""
    values = {
        "instance": instance_id,
        "version": version,
        "account": account_id,
        "content_hash": content_hash(config),
        "config": config,
    }
    await uow.session.execute(_ADD, values)


async def find(uow: UnitOfWork, instance_id: UUID, version: int) -> PublishedConfig:
    """A version for the provisioner; raises NotFound."""
    row = (await uow.session.execute(_FIND, {"instance": instance_id, "version": version})).one_or_none()
    if row is None:
        raise NotFound(f"no configuration {version} of instance {instance_id}")
    return PublishedConfig(version=row.version, content_hash=row.content_hash, config=for_agent(row.config))


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
