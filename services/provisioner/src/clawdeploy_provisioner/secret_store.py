"""Secrets: fetched sealed from the gateway, kept sealed, opened only at use (law 10)."""

import base64
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

from sqlalchemy import LargeBinary, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from clawdeploy_common import sealing
from clawdeploy_common.database import Database
from clawdeploy_common.errors import PermanentError, TemporaryError
from clawdeploy_common.http import AsyncClient, TransportError
from clawdeploy_common.tokens import InternalTokens
from clawdeploy_events.deployments import SecretReference
from clawdeploy_provisioner.encryption import EncryptionKeys
from clawdeploy_provisioner.sealing_keys import SealingKeys

_COPY = text(
    "SELECT sealing_key_id, sealed FROM secret_copies WHERE instance_id = :id AND name = :name AND version = :version"
)
_KEEP = text(
    """
    INSERT INTO secret_copies (instance_id, name, version, account_id, sealing_key_id, sealed)
    VALUES (:id, :name, :version, :account, :key, :sealed) ON CONFLICT DO NOTHING
    """
).bindparams(bindparam("sealed", type_=LargeBinary))
_CONFIG = text("SELECT content_hash, config FROM config_copies WHERE instance_id = :id AND version = :version")
_KEEP_CONFIG = text(
    """
    INSERT INTO config_copies (instance_id, version, account_id, content_hash, config)
    VALUES (:id, :version, :account, :hash, :config) ON CONFLICT DO NOTHING
    """
).bindparams(bindparam("config", type_=JSONB))


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Whose secrets: an instance and its account."""

    instance_id: UUID
    account_id: UUID


@dataclass(frozen=True, kw_only=True)
class ConfigVersion:
    """One configuration version as the gateway published it."""

    content_hash: str
    config: dict[str, Any]


class GatewayUnavailable(TemporaryError):
    """The gateway does not answer an internal request."""

    code = "gateway-unavailable"


class SecretStore:
    """Sealed copies of secrets and configurations, and the ``keys`` that open them."""

    def __init__(
        self, database: Database, *, http: AsyncClient, api_url: str, tokens: InternalTokens, encryption: EncryptionKeys
    ) -> None:
        self._database = database
        self._http = http
        self._api_url = api_url.rstrip("/")
        self._tokens = tokens
        self._encryption = encryption
        self.keys = SealingKeys(database, encryption)

    def encrypt(self, plaintext: bytes, *, purpose: bytes) -> bytes:
        """For what the provisioner itself must keep, such as a minted key."""
        return self._encryption.encrypt(plaintext, purpose=purpose)

    def decrypt(self, stored: bytes, *, purpose: bytes) -> bytes:
        """The inverse; raises SealBroken."""
        return self._encryption.decrypt(stored, purpose=purpose)

    async def open(self, owner: Owner, reference: SecretReference) -> str:
        """A secret in clear, for immediate use."""
        key_id, sealed = await self.sealed(owner, reference)
        info = sealing.secret_info(instance_id=owner.instance_id, name=reference.name, version=reference.version)
        return (await self.keys.open(key_id, sealed, info=info)).decode()

    async def config(self, owner: Owner, version: int) -> ConfigVersion:
        """A configuration version, from our copy or from the gateway."""
        async with self._database.transaction() as unit:
            row = (await unit.session.execute(_CONFIG, {"id": owner.instance_id, "version": version})).one_or_none()
        if row is not None:
            return ConfigVersion(content_hash=row.content_hash, config=row.config)
        body = await self._fetch(owner, f"configs/{version}")
        found = ConfigVersion(content_hash=body["content_hash"], config=body["config"])
        values = {"id": owner.instance_id, "version": version, "account": owner.account_id}
        async with self._database.transaction() as unit:
            await unit.session.execute(_KEEP_CONFIG, {**values, "hash": found.content_hash, "config": found.config})
        return found

    async def sealed(self, owner: Owner, reference: SecretReference, *, keep: bool = True) -> tuple[UUID, bytes]:
        """A secret as it is sealed, and to which key: our copy, or the gateway's, of which a copy is kept."""
        where = {"id": owner.instance_id, "name": reference.name, "version": reference.version}
        async with self._database.transaction() as unit:
            row = (await unit.session.execute(_COPY, where)).one_or_none()
        if row is not None:
            return row.sealing_key_id, row.sealed
        body = await self._fetch(owner, f"secrets/{reference.name}/versions/{reference.version}")
        sealed = base64.b64decode(body["sealed"])
        if sealing.fingerprint(sealed) != body["sealed_hash"]:
            raise PermanentError(f"secret {reference.name} arrived damaged")
        key_id = UUID(body["sealing_key_id"])
        if not keep:
            return key_id, sealed
        async with self._database.transaction() as unit:
            await unit.session.execute(_KEEP, {**where, "account": owner.account_id, "key": key_id, "sealed": sealed})
        return key_id, sealed

    async def _fetch(self, owner: Owner, path: str) -> Any:
        return await self.ask_gateway(f"instances/{owner.instance_id}/{path}", account_id=owner.account_id)

    async def ask_gateway(self, path: str, *, account_id: UUID | None = None) -> Any:
        """What the gateway's internal route answers; raises GatewayUnavailable, PermanentError."""
        token = self._tokens.issue("api", account_id=account_id)
        url = f"{self._api_url}/internal/{path}"
        try:
            response = await self._http.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=10)
        except TransportError as error:
            raise GatewayUnavailable(f"the gateway does not answer ({type(error).__name__})") from error
        if response.status_code == HTTPStatus.NOT_FOUND:
            raise PermanentError(f"the gateway has no {path}")
        if response.status_code != HTTPStatus.OK:
            raise GatewayUnavailable(f"the gateway answered {response.status_code}")
        return response.json()
