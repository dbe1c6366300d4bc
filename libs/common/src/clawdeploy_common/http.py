"""The HTTP client, imported in one place, so that another one can take its place (httpx has had no release since 2024)."""

from httpx import (
    ASGITransport,
    AsyncBaseTransport,
    AsyncClient,
    ConnectError,
    HTTPError,
    HTTPStatusError,
    Limits,
    Response,
    Timeout,
    TimeoutException,
    TransportError,
)

__all__ = [
    "ASGITransport",
    "AsyncBaseTransport",
    "AsyncClient",
    "ConnectError",
    "HTTPError",
    "HTTPStatusError",
    "Limits",
    "Response",
    "Timeout",
    "TimeoutException",
    "TransportError",
]
