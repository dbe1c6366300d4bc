"""The exception tree: every error a person or a service can meet descends from one root."""

from collections.abc import Sequence
from typing import Any, ClassVar


class ClawDeployError(Exception):
    """Root of all errors of the platform; leaf classes carry ids, not prose built elsewhere.

    ``status`` is the HTTP status, ``code`` the stable machine name, ``title`` the sentence that is the same for every occurrence
    (RFC 9457 §3.1).
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Something went wrong on our side"

    def __init__(self, detail: str = "", **extensions: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.extensions = extensions

    @property
    def headers(self) -> dict[str, str]:
        """Response headers that belong to the error, such as ``Retry-After``."""
        return {}


class TemporaryError(ClawDeployError):
    """The same attempt may succeed later; ``retry_after`` is in seconds."""

    status = 503
    code = "temporarily-unavailable"
    title = "This is temporarily unavailable"

    def __init__(self, reason: str, *, retry_after: float = 5.0, **extensions: Any) -> None:
        super().__init__(reason, **extensions)
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Seconds to wait, rounded up (RFC 9110 §10.2.3)."""
        return {"Retry-After": str(max(1, round(self.retry_after)))}


class PermanentError(ClawDeployError):
    """Trying again changes nothing; a person has to act."""

    code = "permanent-failure"
    title = "This cannot succeed as it stands"


class StartRefused(ClawDeployError):
    """A service must not run with these settings; the message names the setting, never its value."""

    code = "start-refused"
    title = "The service does not start with these settings"


class BadRequest(ClawDeployError):
    """The request cannot be understood; ``errors`` names the fields."""

    status = 400
    code = "bad-request"
    title = "The request cannot be understood"


class InvalidInput(ClawDeployError):
    """A payload's field has a value that is not allowed.

    ``errors`` is a list of ``{"field", "reason", "allowed"?}``.
    """

    status = 422
    code = "invalid-input"
    title = "Some fields are not valid"

    def __init__(self, field: str, reason: str, *, allowed: Sequence[str] | None = None) -> None:
        error: dict[str, Any] = {"field": field, "reason": reason}
        if allowed is not None:
            error["allowed"] = list(allowed)
        super().__init__(f"{field}: {reason}", errors=[error])


class Unauthorized(ClawDeployError):
    """No valid credential came with the request."""

    status = 401
    code = "unauthorized"
    title = "Sign in first"

    @property
    def headers(self) -> dict[str, str]:
        """The challenge RFC 9110 §11.6.1 asks for."""
        return {"WWW-Authenticate": 'Bearer realm="clawdeploy"'}


class Forbidden(ClawDeployError):
    """The credential is valid but does not allow this."""

    status = 403
    code = "forbidden"
    title = "This is not allowed with your role"


class NotFound(ClawDeployError):
    """There is no such thing, or it belongs to somebody else (which reads the same)."""

    status = 404
    code = "not-found"
    title = "There is no such thing"


class Conflict(ClawDeployError):
    """The thing is in a state in which this cannot be done."""

    status = 409
    code = "conflict"
    title = "This does not fit the current state"


class EventTooLarge(PermanentError):
    """An event's payload exceeds what the outbox accepts."""

    code = "event-too-large"


class Unreadable(PermanentError):
    """A record of a topic cannot be read as an event."""

    code = "unreadable-event"


class HandlerFault(ClawDeployError):
    """A handler raised what would otherwise read as an outage of the database."""


class LogIncomplete(TemporaryError):
    """The log does not (yet) hold every event a replay needs; nothing was changed."""

    code = "log-incomplete"
    title = "The event log does not hold everything that was applied before"
