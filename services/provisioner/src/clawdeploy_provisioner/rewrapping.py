"""Changing ENCRYPTION_KEY: every row wrapped with the previous key is wrapped again with the current one."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import LargeBinary, TextClause, bindparam, text

from clawdeploy_common.database import Database
from clawdeploy_provisioner.agents import IDENTITY_PURPOSE
from clawdeploy_provisioner.encryption import EncryptionKeys, OpenedBy
from clawdeploy_provisioner.kept_state.archive import DATA_KEY_PURPOSE
from clawdeploy_provisioner.llm_keys import SECRET_PURPOSE
from clawdeploy_provisioner.metrics import ENCRYPTED_ROWS
from clawdeploy_provisioner.on_server.desk import CONFIGURATION_PURPOSE
from clawdeploy_provisioner.on_server.registry import SSH_KEY_PURPOSE
from clawdeploy_provisioner.providers.own.machines import KEY_PURPOSE as OWN_KEY_PURPOSE
from clawdeploy_provisioner.sealing_keys import KEY_PURPOSE

log = structlog.get_logger()

_BATCH = 200
_FIRST = UUID(int=0)


@dataclass(frozen=True, kw_only=True)
class Wrapped:
    """A column of rows that are encrypted at rest."""

    table: str
    column: str
    purpose: bytes

    @property
    def read(self) -> TextClause:
        """The next rows by id."""
        return text(
            f"SELECT id, {self.column} AS stored FROM {self.table} "  # noqa: S608 - constants below
            f"WHERE {self.column} IS NOT NULL AND id > :after ORDER BY id LIMIT :limit"
        )

    @property
    def write(self) -> TextClause:
        """Replaces exactly what was read."""
        return text(
            f"UPDATE {self.table} SET {self.column} = :new WHERE id = :id AND {self.column} = :old"  # noqa: S608 - constants below
        ).bindparams(bindparam("new", type_=LargeBinary), bindparam("old", type_=LargeBinary))


SEALING_KEYS = Wrapped(table="sealing_keys", column="private_key", purpose=KEY_PURPOSE)
EVERYTHING = (
    SEALING_KEYS,
    Wrapped(table="llm_keys", column="secret", purpose=SECRET_PURPOSE),
    Wrapped(table="instances", column="identity", purpose=IDENTITY_PURPOSE),
    Wrapped(table="server_agents", column="ssh_key", purpose=SSH_KEY_PURPOSE),
    Wrapped(table="own_servers", column="ssh_key", purpose=OWN_KEY_PURPOSE),
    Wrapped(table="agent_configurations", column="content", purpose=CONFIGURATION_PURPOSE),
    Wrapped(table="kept_states", column="data_key", purpose=DATA_KEY_PURPOSE),
)


class Rewrapping:
    """Looks through everything encrypted at the start and, while a previous key is set, every ``seconds``."""

    def __init__(self, database: Database, keys: EncryptionKeys, *, seconds: float = 60.0) -> None:
        self._database = database
        self._keys = keys
        self._seconds = seconds

    async def check(self) -> None:
        """Refuse to start with keys that open none of the sealing keys: the setting is wrong; raises StartRefused."""
        found = [self._opener(SEALING_KEYS, row) async for row in self._rows(SEALING_KEYS)]
        if found and set(found) == {OpenedBy.NEITHER}:
            raise self._keys.refusal()

    async def run(self) -> None:
        """Until cancelled: other replicas may still write with the previous key."""
        while True:
            await self.round()
            if self._keys.previous is None:
                await asyncio.Event().wait()
            await asyncio.sleep(self._seconds)

    async def round(self) -> None:
        """Count, then wrap again one row at a time; nothing is held longer than one row takes."""
        counted, old = Counter[OpenedBy](), list[tuple[Wrapped, Any]]()
        for wrapped in EVERYTHING:
            async for row in self._rows(wrapped):
                opener = self._opener(wrapped, row)
                counted[opener] += 1
                if opener is OpenedBy.PREVIOUS:
                    old.append((wrapped, row))
                elif opener is OpenedBy.NEITHER:
                    log.error("encryption_key.row_does_not_open", table=wrapped.table, id=str(row.id), hint=self._hint)
        for opener in OpenedBy:
            ENCRYPTED_ROWS.labels(opener).set(counted[opener])
        for done, (wrapped, row) in enumerate(old):
            if done % _BATCH == 0:
                log.info("encryption_key.changing", left=len(old) - done)
            await self._rewrap(wrapped, row)
        if self._keys.previous is not None and not counted[OpenedBy.NEITHER]:
            log.info(
                "encryption_key.changed", left=0, hint="ENCRYPTION_KEY_PREVIOUS may be unset once every replica has it"
            )

    @property
    def _hint(self) -> str:
        return str(self._keys.refusal())

    def _opener(self, wrapped: Wrapped, row: Any) -> OpenedBy:
        return self._keys.opener(row.stored, purpose=wrapped.purpose)

    async def _rewrap(self, wrapped: Wrapped, row: Any) -> None:
        """A row that was changed meanwhile was wrapped with the current key then, or erased."""
        plaintext = self._keys.decrypt(row.stored, purpose=wrapped.purpose)
        new = self._keys.encrypt(plaintext, purpose=wrapped.purpose)
        async with self._database.transaction() as unit:
            await unit.session.execute(wrapped.write, {"id": row.id, "old": row.stored, "new": new})
        ENCRYPTED_ROWS.labels(OpenedBy.PREVIOUS).dec()
        ENCRYPTED_ROWS.labels(OpenedBy.CURRENT).inc()

    async def _rows(self, wrapped: Wrapped) -> AsyncIterator[Any]:
        after = _FIRST
        while True:
            async with self._database.transaction() as unit:
                rows = (await unit.session.execute(wrapped.read, {"after": after, "limit": _BATCH})).all()
            for row in rows:
                yield row
            if len(rows) < _BATCH:
                return
            after = rows[-1].id
