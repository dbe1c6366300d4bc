"""The life of an instance as two topics tell it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from tests.integration.producers import Producer

from clawdeploy_common.events import Event
from clawdeploy_common.records import Record
from clawdeploy_events.deployments import InstanceDestroyRequested
from clawdeploy_events.lifecycle import (
    DeploymentCancelled,
    DeploymentFailed,
    DeploymentSucceeded,
    LlmKeyMinted,
    LlmKeyRevoked,
    ServerCreated,
    ServerDestroyed,
)

START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Life:
    """One instance; each method is the next event of its topic. Moments are hours after ``START``."""

    def __init__(self) -> None:
        self.instance_id, self.account_id = uuid4(), uuid4()
        self._api, self._provisioner = Producer("api"), Producer("provisioner")

    def created(
        self,
        server_id: UUID,
        operation_id: UUID,
        *,
        hours: float = 0,
        plan: str = "basic",
        price_version: int = 1,
        provider: str = "process",
    ) -> Record:
        return self._lifecycle(
            ServerCreated(
                server_id=server_id,
                operation_id=operation_id,
                provider=provider,
                region="local",
                plan=plan,
                price_version=price_version,
                provider_ref=str(server_id),
                accepted_at=START + hours * HOUR,
            )
        )

    def succeeded(self, server_id: UUID, operation_id: UUID) -> Record:
        return self._lifecycle(DeploymentSucceeded(operation_id=operation_id, server_id=server_id))

    def failed(self, operation_id: UUID) -> Record:
        return self._lifecycle(DeploymentFailed(operation_id=operation_id, reason="it did not start"))

    def cancelled(self, operation_id: UUID) -> Record:
        return self._lifecycle(DeploymentCancelled(operation_id=operation_id))

    def destroyed(
        self, server_id: UUID, *, hours: float, paid_until: datetime | None = None, refunded: bool = False
    ) -> Record:
        return self._lifecycle(
            ServerDestroyed(
                server_id=server_id,
                provider="process",
                destroyed_at=START + hours * HOUR,
                paid_until=paid_until,
                refunded=refunded,
            )
        )

    def destroy_requested(self, *, hours: float) -> Record:
        event = InstanceDestroyRequested(operation_id=uuid4(), requested_at=START + hours * HOUR)
        return self._api.record(event, key=self.instance_id, account_id=self.account_id)

    def minted(self, key_hash: str, *, at: datetime = START) -> Record:
        return self._lifecycle(LlmKeyMinted(key_hash=key_hash, limit_micros=0, price_version=1, minted_at=at))

    def revoked(self, key_hash: str, *, at: datetime) -> Record:
        return self._lifecycle(LlmKeyRevoked(key_hash=key_hash, revoked_at=at))

    def _lifecycle(self, event: Event) -> Record:
        return self._provisioner.record(event, key=self.instance_id, account_id=self.account_id)


def interleavings(left: Sequence[Record], right: Sequence[Record]) -> list[list[Record]]:
    """Every way two topics can arrive, each in its own order."""
    if not left or not right:
        return [[*left, *right]]
    return [
        *([left[0], *rest] for rest in interleavings(left[1:], right)),
        *([right[0], *rest] for rest in interleavings(left, right[1:])),
    ]
