"""Calls to the platform's public API, signed in, with errors a person can read."""

import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self, cast

import httpx

from clawdeploy_cli.client.problem import raise_for_problem
from clawdeploy_cli.errors import NotReady

Json = dict[str, Any]

_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S = 3.0, 60.0
_MUTATIONS = frozenset({"POST", "PATCH", "PUT", "DELETE"})
_PAUSES_S = (0.2, 0.4, 0.8)
_TOLD_AFTER_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a call waits for a platform that does not answer, and what is said about it.

    Args:
        seconds: from the first attempt on; a platform that is known to run is waited for while it restarts a process.
        hint: what to do when it was in vain.
        tell: called once, when waiting takes so long that a person wonders.
    """

    seconds: float = 3.0
    hint: str = "Start it with: claw up"
    tell: Callable[[str], None] = lambda _text: None


class _Wait:
    """One call's attempts: pauses that grow to a second, until patience ends."""

    def __init__(self, patience: Patience) -> None:
        self._patience, self._began, self._attempts, self._told = patience, time.monotonic(), 0, False

    def again(self, reason: str) -> bool:
        """Pause before the next attempt; False when there shall be none."""
        waited = time.monotonic() - self._began
        if waited >= self._patience.seconds:
            return False
        if waited >= _TOLD_AFTER_S and not self._told:
            self._told = True
            self._patience.tell(f"{reason} Trying again …")
        time.sleep(_PAUSES_S[self._attempts] if self._attempts < len(_PAUSES_S) else 1.0)
        self._attempts += 1
        return True


class ApiClient:
    """A signed-in connection to one platform.

    Every mutation carries an `Idempotency-Key`, so that it may be sent again when the connection broke: it takes effect once.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str,
        patience: Patience | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.api_key = api_key
        self.patience = patience or Patience()
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
        wait, key = _Wait(self.patience), _idempotency(method)
        while True:
            response = self.raw(method, path, body=body, query=query, headers=key)
            if response.status_code != HTTPStatus.SERVICE_UNAVAILABLE or not wait.again("The platform is not ready."):
                raise_for_problem(response)
                return response

    def raw(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str | int | None] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Any call; the answer as it is, errors included."""
        request = self._http.build_request(
            method,
            path,
            params={name: value for name, value in (query or {}).items() if value is not None}
            or None,  # keeps the path's own
            json=body,
            headers=_idempotency(method) if headers is None else headers,
        )
        wait = _Wait(self.patience)
        while True:
            try:
                return self._http.send(request)
            except httpx.TransportError as error:
                if isinstance(error, httpx.ReadTimeout) or not wait.again("The platform does not answer."):
                    raise self._unreachable(error) from None

    @contextmanager
    def stream(
        self, method: str, path: str, *, body: Any = None, headers: Mapping[str, str] | None = None, **query: str | int
    ) -> Generator[httpx.Response]:
        """A call whose answer is read as it comes; no limit on how long it stays silent."""
        timeout = httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S)
        arguments: Any = {
            "json": body,
            "headers": {"Accept": "text/event-stream", **(headers or {})},
            "params": query or None,
        }
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
        return NotReady(f"The platform at {self.url} {reason}.", hint=self.patience.hint)


def _idempotency(method: str) -> dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())} if method.upper() in _MUTATIONS else {}


def _body(response: httpx.Response) -> Json:
    return cast("Json", response.json()) if response.content else {}
