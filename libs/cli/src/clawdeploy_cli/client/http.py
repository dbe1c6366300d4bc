"""Calls to the platform's public API, signed in, with errors a person can read."""

import time
import uuid
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self, cast

import httpx

from clawdeploy_cli.client.problem import raise_for_problem
from clawdeploy_cli.errors import NotReady

Json = dict[str, Any]

CONNECT_ATTEMPTS = 4
_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S = 3.0, 60.0
_MUTATIONS = frozenset({"POST", "PATCH", "PUT", "DELETE"})


class ApiClient:
    """A signed-in connection to one platform.

    Every mutation carries an `Idempotency-Key`, so that it may be sent again when the connection broke: it takes effect once.
    """

    def __init__(self, url: str, *, api_key: str, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        self.api_key = api_key
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {api_key}", "User-Agent": "claw"},
            timeout=httpx.Timeout(_READ_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S),
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def get(self, path: str, **query: str | int | None) -> Json:
        """Read one thing."""
        return _body(self.request("GET", path, query=query))

    def post(self, path: str, body: Json | None = None) -> Json:
        """Ask for a change."""
        return _body(self.request("POST", path, body=body))

    def delete(self, path: str) -> Json:
        """Ask for an end."""
        return _body(self.request("DELETE", path))

    def pages(self, path: str, **query: str | int | None) -> Iterator[Json]:
        """Every item of a list, page after page."""
        cursor: str | None = None
        while True:
            page = self.get(path, **{**query, "cursor": cursor})
            yield from cast("list[Json]", page["items"])
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def request(
        self, method: str, path: str, *, body: Any = None, query: Mapping[str, str | int | None] | None = None
    ) -> httpx.Response:
        """Any call.

        Raises:
            NotReady: nobody answers, or the platform says it is not ready.
            NotFound, Refused, Failed: what the problem document says.
        """
        response = self.raw(method, path, body=body, query=query)
        raise_for_problem(response)
        return response

    def raw(
        self, method: str, path: str, *, body: Any = None, query: Mapping[str, str | int | None] | None = None
    ) -> httpx.Response:
        """Any call; the answer as it is, errors included."""
        request = self._http.build_request(
            method,
            path,
            params={name: value for name, value in (query or {}).items() if value is not None},
            json=body,
            headers=_idempotency(method),
        )
        for attempt in range(1, CONNECT_ATTEMPTS + 1):
            try:
                return self._http.send(request)
            except httpx.TransportError as error:
                if attempt == CONNECT_ATTEMPTS or isinstance(error, httpx.ReadTimeout):
                    raise self._unreachable(error) from None
                time.sleep(0.2 * 2**attempt)
        raise AssertionError("unreachable")  # the loop returns or raises

    @contextmanager
    def stream(
        self, method: str, path: str, *, body: Any = None, headers: Mapping[str, str] | None = None, **query: str | int
    ) -> Generator[httpx.Response]:
        """A call whose answer is read as it comes; no limit on how long it stays silent."""
        timeout = httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S)
        arguments: Any = {"json": body, "headers": {"Accept": "text/event-stream", **(headers or {})}, "params": query}
        try:
            with self._http.stream(method, path, timeout=timeout, **arguments) as response:
                if response.is_error:
                    response.read()
                    raise_for_problem(response)
                yield response
        except httpx.TransportError as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: httpx.TransportError) -> NotReady:
        reason = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
        return NotReady(f"The platform at {self.url} {reason}.", hint="Start it with: claw up")


def _idempotency(method: str) -> dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())} if method.upper() in _MUTATIONS else {}


def _body(response: httpx.Response) -> Json:
    return cast("Json", response.json()) if response.content else {}
