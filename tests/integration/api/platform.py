"""The gateway on a database of its own, and the other services' voices: events handed to its inbox as Kafka would."""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from httpx import ASGITransport, AsyncClient, Response
from sqlalchemy import text
from tests.engines.databases import Database

from clawdeploy_api.gateway import Gateway
from clawdeploy_api.main import build
from clawdeploy_api.settings import ApiSettings
from clawdeploy_common.events import Envelope, Event, encode, topic_of
from clawdeploy_common.http import AsyncBaseTransport
from clawdeploy_common.ids import new_id
from clawdeploy_common.records import Record
from clawdeploy_common.sealing import generate_key_pair
from clawdeploy_events.lifecycle import SealingKeyAnnounced

BOOTSTRAP_KEY = "claw_" + "b" * 43
NOWHERE = "http://127.0.0.1:9"
CREATE = {"name": "My agent", "model": "gpt-5.2", "channel": "telegram"}
Json = dict[str, Any]


def settings_for(database: Database, **changes: Any) -> ApiSettings:
    """A gateway whose neighbours do not answer and whose limits are out of the way."""
    values: Json = {
        "port": 0,
        "database_url": database.url("api"),
        "database_web_url": database.web_url("api"),
        "kafka_bootstrap_servers": "127.0.0.1:9",
        "internal_secret": "an internal secret that is long enough for tests",  # pragma: allowlist secret
        "bootstrap_api_key": BOOTSTRAP_KEY,
        "mutations_per_minute": 0,
        "deploys_per_minute": 0,
        "stream_poll_seconds": 0.2,
        "provisioner_url": NOWHERE,
        "monitor_url": NOWHERE,
        "billing_url": NOWHERE,
    }
    return ApiSettings.model_validate({**values, **changes})


@dataclass
class Tenant:
    """An account with its key."""

    id: UUID
    key: str
    http: AsyncClient

    async def create(self, **fields: Any) -> Json:
        """An instance of its own."""
        answer = await self.http.post("/v1/instances", json={**CREATE, **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def get(self, path: str, **query: Any) -> Json:
        """What a path answers."""
        answer = await self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def act(self, instance: Json, action: str) -> Response:
        """An action on an instance."""
        return await self.http.post(f"/v1/instances/{instance['id']}/{action}")


@dataclass
class Platform:
    """The gateway, its callers, and what it is told."""

    settings: ApiSettings
    transport: AsyncBaseTransport | None = None
    versions: dict[tuple[str, UUID], int] = field(default_factory=dict[tuple[str, UUID], int])

    def __post_init__(self) -> None:
        self.service, self.app = build(self.settings, transport=self.transport)
        self.gateway: Gateway = self.app.state.gateway
        self.database = self.service.database
        self.private_key, self.public_key = generate_key_pair()
        self._clients: list[AsyncClient] = []

    async def start(self) -> None:
        """What the service does when it starts, without its loops."""
        await self.gateway.bootstrap.ensure()
        me = await self.client(BOOTSTRAP_KEY).get("/v1/me")
        self.admin = Tenant(id=UUID(me.json()["id"]), key=BOOTSTRAP_KEY, http=self.client(BOOTSTRAP_KEY))

    async def stop(self) -> None:
        """Give everything back."""
        for client in self._clients:
            await client.aclose()
        await self.gateway.forwarder.close()
        await self.database.close()

    def client(self, key: str | None = None) -> AsyncClient:
        """A caller, signed in when it has a key."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        client = AsyncClient(transport=ASGITransport(self.app), base_url="http://gateway", headers=headers)
        self._clients.append(client)
        return client

    async def tenant(self, **fields: Any) -> Tenant:
        """A new account; a pro one, unless told otherwise."""
        body = {"name": "A tenant", "plan": "pro", **fields}
        answer = await self.admin.http.post("/v1/accounts", json=body)
        assert answer.status_code == 201, answer.text
        key = answer.json()["api_key"]
        return Tenant(id=UUID(answer.json()["id"]), key=key, http=self.client(key))

    async def announce_key(self) -> UUID:
        """What the provisioner does first: a key to seal to."""
        key_id = new_id()
        await self.tell(SealingKeyAnnounced(public_key=base64.b64encode(self.public_key).decode()), key=key_id)
        return key_id

    def record(
        self,
        event: Event,
        *,
        key: UUID,
        account_id: UUID | None = None,
        operation: UUID | None = None,
        at: datetime | None = None,
    ) -> Record:
        """An event as it comes out of Kafka, the next of its stream."""
        source = f"/clawdeploy/{event.producer}"
        version = self.versions[source, key] = self.versions.get((source, key), 0) + 1
        envelope = Envelope(
            id=new_id(),
            source=source,
            type=event.event_type,
            key=key,
            version=version,
            time=at or datetime.now(UTC),
            account_id=account_id,
            correlation_id=operation,
            data=encode(event),
        )
        return Record(
            topic=topic_of(event.producer),
            partition=0,
            offset=version,
            headers=envelope.headers(),
            payload=envelope.data,
        )

    async def tell(self, *events: Event, key: UUID, account_id: UUID | None = None, at: datetime | None = None) -> None:
        """Let the gateway hear events of one stream."""
        await self.service.inbox.receive([self.record(e, key=key, account_id=account_id, at=at) for e in events])

    async def hear(self) -> list[Any]:
        """The gateway's outbox, in order."""
        async with self.database.connection() as connection:
            return list(await connection.execute(text("SELECT * FROM outbox ORDER BY id")))

    async def consume_own(self) -> None:
        """Bring the gateway's own events back to it, as its own topic does."""
        records: list[Record] = []
        for row in await self.hear():
            envelope = Envelope(
                id=row.event_id,
                source="/clawdeploy/api",
                type=row.type,
                key=row.key,
                version=row.version,
                time=row.time,
                account_id=row.account_id,
                correlation_id=row.correlation_id,
                data=bytes(row.data),
            )
            records.append(
                Record(
                    topic=topic_of("api"), partition=0, offset=row.id, headers=envelope.headers(), payload=envelope.data
                )
            )
        await self.service.inbox.receive(records)

    async def rows(self, statement: str, **values: Any) -> list[Any]:
        """What the owner sees."""
        async with self.database.connection() as connection:
            return list(await connection.execute(text(statement), values))


def id_of(thing: Mapping[str, Any]) -> UUID:
    """An answer's id."""
    return UUID(thing["id"])


def ago(**span: float) -> datetime:
    """So long before now."""
    return datetime.now(UTC) - timedelta(**span)


def random_key() -> str:
    """An Idempotency-Key."""
    return secrets.token_hex(8)
