"""What can be refused at the gateway."""

from typing import Any
from uuid import UUID

from clawdeploy_common.errors import ClawDeployError, Conflict, Forbidden, InvalidInput, NotFound, TemporaryError


class InstanceNotFound(NotFound):
    """There is no such instance in this account."""

    def __init__(self, instance_id: UUID) -> None:
        super().__init__(f"no instance {instance_id}")


class OperationNotFound(NotFound):
    """There is no such operation in this account."""

    def __init__(self, operation_id: UUID) -> None:
        super().__init__(f"no operation {operation_id}")


class AccountNotFound(NotFound):
    """There is no such account."""

    def __init__(self, account_id: UUID) -> None:
        super().__init__(f"no account {account_id}")


class QuotaExceeded(Forbidden):
    """The account has as many instances as its plan allows."""

    code = "quota-exceeded"
    title = "The account has all the instances its plan allows"

    def __init__(self, *, plan: str, limit: int, used: int, upgrade_url: str) -> None:
        detail = f"the plan {plan} allows {limit} instances, {used} are in use"
        super().__init__(detail, plan=plan, limit=limit, used=used, upgrade_url=upgrade_url)


class PlanNotIncluded(Forbidden):
    """An instance of a larger plan than the account's was asked for."""

    code = "plan-not-included"
    title = "The account's plan does not include instances of this plan"

    def __init__(self, *, plan: str, account_plan: str, upgrade_url: str) -> None:
        detail = f"the account has the plan {account_plan}"
        super().__init__(detail, plan=plan, account_plan=account_plan, upgrade_url=upgrade_url)


class SlugTaken(Conflict):
    """Another live instance of the account has this slug."""

    code = "slug-taken"
    title = "Another instance has this slug"


class ExternalIdTaken(Conflict):
    """Another account has this external id."""

    code = "external-id-taken"
    title = "Another account has this external id"


class OperationWaiting(Conflict):
    """One operation is running and another one waits already."""

    code = "operation-waiting"
    title = "An operation is waiting already"

    def __init__(self, *, kind: str, operation_id: UUID) -> None:
        super().__init__(f"wait for {kind}, or cancel it", waiting={"id": str(operation_id), "kind": kind})


class NotInPlace(InvalidInput):
    """Only a server of a cloud account can be wiped and kept."""

    def __init__(self, provider: str) -> None:
        super().__init__(
            "in_place", f"needs a server of a cloud account; this one is at {provider}: redeploy it without"
        )


class NoServer(ClawDeployError):
    """The instance has no server (yet), so there is nothing to start or stop."""

    status = 400
    code = "no-server"
    title = "The instance has no server"


class InstanceGoing(Conflict):
    """The instance is being destroyed, or was."""

    code = "instance-deleting"
    title = "The instance is being destroyed"


class InstanceSuspended(Conflict):
    """The platform suspended the instance; only the platform ends that."""

    code = "instance-suspended"
    title = "The instance is suspended"


class NotCancellable(Conflict):
    """Only a deployment that has not ended can be cancelled."""

    code = "not-cancellable"
    title = "This operation cannot be cancelled"


class IdempotencyKeyReused(InvalidInput):
    """The key was used for another body."""

    code = "idempotency-key-reused"
    title = "This Idempotency-Key was used for another request"

    def __init__(self) -> None:
        super().__init__("Idempotency-Key", "was used with another body; take a new key for a new request")


class StillRunning(Conflict):
    """The first request with this Idempotency-Key has not ended."""

    code = "request-in-progress"
    title = "The first request with this Idempotency-Key is still running"

    @property
    def headers(self) -> dict[str, str]:
        """It will not take long."""
        return {"Retry-After": "1"}


class TooManyRequests(TemporaryError):
    """The account's rate limit is used up for the moment."""

    status = 429
    code = "rate-limited"
    title = "Too many requests"

    def __init__(self, reason: str, *, retry_after: float, limit_headers: dict[str, str]) -> None:
        super().__init__(reason, retry_after=retry_after)
        self._limit_headers = limit_headers

    @property
    def headers(self) -> dict[str, str]:
        """Seconds to wait, and the limit that was reached."""
        return {**super().headers, **self._limit_headers}


class ServiceUnavailable(TemporaryError):
    """The service that knows does not answer; ``service`` names it."""

    code = "service-unavailable"
    title = "A service of the platform does not answer"

    def __init__(self, service: str, why: str) -> None:
        super().__init__(f"{service} {why}", service=service)


class AgentUnavailable(TemporaryError):
    """The services are well; the agent itself does not answer, as the detail says."""

    code = "agent-unavailable"
    title = "The agent does not answer at the moment"


class Refused(ClawDeployError):
    """What a service behind the gateway refused, as it said it."""

    def __init__(self, status: int, code: str, title: str, detail: str, **extensions: Any) -> None:
        super().__init__(detail, **extensions)
        self.status, self.code, self.title = status, code, title  # pyright: ignore[reportAttributeAccessIssue] - as told
