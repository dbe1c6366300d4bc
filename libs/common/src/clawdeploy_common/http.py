"""The HTTP client, imported in one place, so that another one can take its place (httpx has had no release since 2024)."""

from datetime import UTC
from email.utils import parsedate_to_datetime

from httpx import (
    ASGITransport,
    AsyncBaseTransport,
    AsyncByteStream,
    AsyncClient,
    AsyncHTTPTransport,
    ConnectError,
    HTTPError,
    HTTPStatusError,
    Limits,
    Request,
    Response,
    Timeout,
    TimeoutException,
    TransportError,
)

from clawdeploy_common.clock import utc_now

__all__ = [
    "ASGITransport",
    "AsyncBaseTransport",
    "AsyncByteStream",
    "AsyncClient",
    "AsyncHTTPTransport",
    "ConnectError",
    "HTTPError",
    "HTTPStatusError",
    "Limits",
    "Request",
    "Response",
    "Timeout",
    "TimeoutException",
    "TransportError",
    "retry_after",
]


def retry_after(response: Response, *, default: float) -> float:
    """Seconds that an answer asks to wait (RFC 9110 §10.2.3: a number, or a date); ``default`` when it does not say."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return default
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - utc_now()).total_seconds())
