"""ENCRYPTION_KEY is changed without losing anything, and a wrong one is named at the start."""

import asyncio
import base64
import os
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import LargeBinary, bindparam, text
from structlog.testing import capture_logs
from tests.engines.databases import Database
from tests.integration.provisioner.conftest import Platform, provisioner, settings_for
from tests.integration.provisioner.test_secrets import BOT_TOKEN, OWN_KEY, with_secrets

from clawdeploy_common.errors import StartRefused
from clawdeploy_events.deployments import ConfigPublished, SecretReference
from clawdeploy_provisioner.encryption import EncryptionKeys, OpenedBy
from clawdeploy_provisioner.on_server.desk import CONFIGURATION_PURPOSE
from clawdeploy_provisioner.on_server.registry import SSH_KEY_PURPOSE
from clawdeploy_provisioner.providers.own.machines import KEY_PURPOSE as OWN_KEY_PURPOSE
from clawdeploy_provisioner.rewrapping import EVERYTHING, Rewrapping

OLD, NEW, OTHER = (letter * 32 for letter in (b"o", b"n", b"x"))
OWN_SECRETS = [SecretReference(name=name, version=1) for name in ("bot_token", "api_key.openrouter")]
PUBLISHED = {"version": 2, "content_hash": "0" * 64, "model": "openai/gpt-5.2", "channel": "telegram"}

_AGENT = text(
    """
    WITH agent AS (INSERT INTO server_agents (id, instance_id, account_id, ssh_key) VALUES (:id, :id, :id, :key) RETURNING id)
    INSERT INTO agent_configurations (id, server_id, instance_id, version, digest, content)
    SELECT id, id, id, 1, '', :content FROM agent
    """
).bindparams(bindparam("key", type_=LargeBinary), bindparam("content", type_=LargeBinary))
_OWN_SERVER = text(
    """
    INSERT INTO own_servers (id, name, address, ssh_port, ssh_user, ssh_key, region, check_at)
    VALUES (:id, 'nas', '127.0.0.1', 1, 'root', :key, 'attic', 'infinity')
    """
).bindparams(bindparam("key", type_=LargeBinary))


def given(key: bytes, previous: bytes | None = None) -> dict[str, Any]:
    """Settings as they are written."""
    written = base64.b64encode(previous).decode() if previous else None
    return {"ENCRYPTION_KEY": base64.b64encode(key).decode(), "ENCRYPTION_KEY_PREVIOUS": written}


async def openers(platform: Platform, keys: EncryptionKeys) -> dict[str, list[OpenedBy]]:
    """By table, which key opens each row."""
    found: dict[str, list[OpenedBy]] = {}
    for part in EVERYTHING:
        rows = await platform.rows(f"SELECT {part.column} AS stored FROM {part.table} WHERE {part.column} IS NOT NULL")  # noqa: S608 - constants
        found[part.table] = [keys.opener(row.stored, purpose=part.purpose) for row in rows]
    return found


async def remember_an_agent(platform: Platform, server_id: UUID) -> None:
    """What a rented server has: an SSH key and a configuration, both encrypted; and a machine of the operator's own, its key."""
    keys = EncryptionKeys(current=OLD)
    values = {"id": server_id, "key": keys.encrypt(b"pem", purpose=SSH_KEY_PURPOSE)}
    values["content"] = keys.encrypt(b"{}", purpose=CONFIGURATION_PURPOSE)
    async with platform.service.database.connection() as connection:
        await connection.execute(_AGENT, values)
        own = {"id": server_id, "key": keys.encrypt(b"pem", purpose=OWN_KEY_PURPOSE)}
        await connection.execute(_OWN_SERVER, own)


def counted(key: OpenedBy) -> float | None:
    """What the metric says."""
    return REGISTRY.get_sample_value("clawdeploy_encrypted_rows", {"key": key})


async def test_the_key_is_changed_and_everything_still_opens(database: Database, tmp_path: Path) -> None:
    """INVARIANT: after a start with both keys the old one opens nothing that is kept, and nothing was lost."""
    async with provisioner(database, tmp_path, leaves_servers=True, **given(OLD)) as before:
        minted = await before.deployed()
        with_own = await with_secrets(before)
        await before.done(with_own.deployment_id)
        await remember_an_agent(before, await before.server_id(minted))
    with capture_logs() as logs:
        async with provisioner(database, tmp_path, leaves_servers=True, **given(NEW, OLD)) as changing:
            async with asyncio.timeout(20):
                while counted(OpenedBy.PREVIOUS) != 0 or not any("changed" in log["event"] for log in logs):
                    await asyncio.sleep(0.05)
            by_new = await openers(changing, EncryptionKeys(current=NEW))
    assert {table: set(keys) for table, keys in by_new.items() if keys} == {
        "sealing_keys": {OpenedBy.CURRENT},
        "llm_keys": {OpenedBy.CURRENT},
        "instances": {OpenedBy.CURRENT},
        "server_agents": {OpenedBy.CURRENT},
        "own_servers": {OpenedBy.CURRENT},
        "agent_configurations": {OpenedBy.CURRENT},
    }
    assert [log["left"] for log in logs if log["event"] == "encryption_key.changing"] == [7]
    async with provisioner(database, tmp_path, **given(NEW)) as after:
        for instance, secrets in ((minted, []), (with_own, OWN_SECRETS)):
            await after.heard(instance)
            operation = await after.ask(instance, ConfigPublished, **PUBLISHED, secrets=secrets)
            await after.done(operation)
        bundles = [after.provider.bundles[await after.server_id(each)].environment for each in (minted, with_own)]
        assert [value[:6] for value in bundles[0].values()] == ["sk-or-"]
        assert {BOT_TOKEN, OWN_KEY} <= set(bundles[1].values())


async def test_a_row_that_no_key_opens_is_told_and_stops_nothing(platform: Platform, database: Database) -> None:
    instance = await platform.deployed()
    keys = settings_for(database).encryption_keys
    broken = EncryptionKeys(current=OTHER).encrypt(b"{}", purpose=b"whatever")
    statement = text("UPDATE instances SET identity = :broken").bindparams(bindparam("broken", type_=LargeBinary))
    async with platform.service.database.connection() as connection:
        await connection.execute(statement, {"broken": broken})
    rewrapping = Rewrapping(platform.service.database, EncryptionKeys(current=NEW, previous=keys.current))
    with capture_logs() as logs:
        await rewrapping.check()
        await rewrapping.round()
    (told,) = [log for log in logs if log["log_level"] == "error"]
    assert (told["event"], told["id"]) == ("encryption_key.row_does_not_open", str(instance.id))
    assert not [log for log in logs if log["event"] == "encryption_key.changed"]
    assert [counted(key) for key in OpenedBy] == [2, 0, 1]
    assert set((await openers(platform, EncryptionKeys(current=NEW)))["llm_keys"]) == {OpenedBy.CURRENT}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (EncryptionKeys(current=OTHER), "^ENCRYPTION_KEY is not the key"),
        (EncryptionKeys(current=OTHER, previous=NEW), "neither with ENCRYPTION_KEY nor with ENCRYPTION_KEY_PREVIOUS"),
    ],
)
async def test_a_start_with_wrong_keys_names_the_setting(platform: Platform, keys: EncryptionKeys, said: str) -> None:
    await platform.until("SELECT count(*) FROM sealing_keys", 1)
    with pytest.raises(StartRefused, match=said):
        await Rewrapping(platform.service.database, keys).check()


async def test_the_process_ends_and_says_which_setting_is_wrong(database: Database, tmp_path: Path) -> None:
    """INVARIANT: nothing is written with a key that does not fit what is there."""
    async with provisioner(database, tmp_path, **given(OLD)) as before:
        await before.until("SELECT count(*) FROM sealing_keys", 1)
    settings = settings_for(database)
    environment = {
        "PATH": os.environ["PATH"],
        "CLAWDEPLOY_PORT": "0",
        "CLAWDEPLOY_DATABASE_URL": settings.database_url.get_secret_value(),
        "CLAWDEPLOY_DATABASE_WEB_URL": settings.database_web_url.get_secret_value(),
        "CLAWDEPLOY_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "CLAWDEPLOY_INTERNAL_SECRET": "x" * 32,
        "CLAWDEPLOY_PROVIDERS": "process",
        "ENCRYPTION_KEY": base64.b64encode(OTHER).decode(),
        "ENCRYPTION_KEY_PREVIOUS": "",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "clawdeploy_provisioner"),
        cwd=tmp_path,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        written, _ = await process.communicate()
    assert process.returncode != 0
    assert b"ENCRYPTION_KEY is not the key that this platform's rows are encrypted with." in written
    assert base64.b64encode(OTHER) not in written
