"""Errors told to Sentry, when SENTRY_DSN is given; the SDK is imported only then.

Nothing is collected by itself: no integrations, local variables, breadcrumbs, requests or traces. What is logged as an error is sent,
with its exception and stack, after secrets were taken out.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from clawdeploy_common.redaction import REDACTED, Redactor

if TYPE_CHECKING:
    from sentry_sdk.types import Event

    from clawdeploy_common.settings import ServiceSettings

Report = Callable[[str, Mapping[str, Any]], None]
_FLUSH_S = 2.0
_QUOTES_ITS_INPUT = "ValidationError"  # pydantic's message shows what it refused, which may be a secret


def start_reporting(settings: "ServiceSettings", *, service: str) -> Report | None:
    """Connect to Sentry; gives what reports an error by event name and fields, or None without a DSN.

    Raises:
        sentry_sdk.utils.BadDsn: the DSN is not one.
    """
    if settings.sentry_dsn is None:
        return None
    import sentry_sdk  # noqa: PLC0415 - only who gave a DSN pays for it

    redactor = Redactor(settings.secrets)

    def before_send(event: "Event", _hint: Any) -> "Event":
        for exception in event.get("exception", {}).get("values", ()):
            if exception.get("type") == _QUOTES_ITS_INPUT:
                exception["value"] = REDACTED
        return redacted(event, redactor)

    sentry_sdk.init(
        dsn=settings.sentry_dsn.get_secret_value(),
        default_integrations=False,
        auto_enabling_integrations=False,
        include_local_variables=False,
        max_breadcrumbs=0,
        auto_session_tracking=False,
        before_send=before_send,
    )
    sentry_sdk.set_tag("service", service)

    def report(name: str, fields: Mapping[str, Any]) -> None:
        with sentry_sdk.new_scope() as scope:
            scope.set_context("fields", {key: value for key, value in fields.items() if key != "exc_info"})
            scope.set_transaction_name(name)
            error = fields.get("exc_info")
            if isinstance(error, BaseException):
                sentry_sdk.capture_exception(error)
            else:
                sentry_sdk.capture_message(name, level="error")

    return report


def finish_reporting(settings: "ServiceSettings") -> None:
    """Send what is still waiting, for two seconds at most."""
    if settings.sentry_dsn is not None:
        import sentry_sdk  # noqa: PLC0415 - loaded already

        sentry_sdk.flush(timeout=_FLUSH_S)


def redacted(value: Any, redactor: Redactor) -> Any:
    """The same, every text in it redacted, however deep; what is no text, number or collection becomes a text."""
    if isinstance(value, str):
        return redactor.redact(value)
    if isinstance(value, dict):
        return {str(key): redacted(item, redactor) for key, item in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [redacted(item, redactor) for item in cast("list[Any]", value)]
    return value if isinstance(value, int | float | None) else redactor.redact(str(value))
