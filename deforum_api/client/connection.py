"""Requests that are sent again until Deforum answers: a server may restart between any two of them."""

from __future__ import annotations

import base64
import http.client
import json
import logging
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from deforum_api.client.errors import ClientError, RefusedByServer, Unreachable, refusal

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 8.0
BROKEN = (OSError, http.client.HTTPException, EOFError)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Ask:
    """One request: method, path with its leading slash, and what goes along; `body` is sent as JSON."""

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Connection:
    """A server, and how long it is waited for.

    Args:
        url: of the server, such as `http://127.0.0.1:7860`.
        login: "user:password", or None.
        timeout_s: the longest silence within one answer.
        patience_s: for how long a request is repeated while the server is away or busy.
        clock, sleep: seconds.

    Raises:
        ClientError: `url` is not an http address.
    """

    def __init__(
        self,
        url: str,
        *,
        login: str | None = None,
        timeout_s: float = 60.0,
        patience_s: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ClientError(f"The server's address must be like http://127.0.0.1:7860, found {url[:80]!r}.")
        self.timeout_s = timeout_s
        self.patience_s = patience_s
        self._clock = clock
        self._sleep = sleep
        self._login = base64.b64encode(login.encode()).decode() if login else ""
        proxies: dict[str, str] | None = {} if parts.hostname in _LOOPBACK else None
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies), _NoRedirect())

    def json(self, ask: Ask) -> Any:
        """Return the answer's JSON value; raises as `repeat` does."""
        return self.repeat(lambda: self._json(ask))

    def whole(self, ask: Ask) -> bytes:
        """Return the answer's body; raises as `repeat` does."""
        return self.repeat(lambda: self._read(ask)[0])

    def page(self, ask: Ask) -> tuple[Any, str | None]:
        """Return the JSON value of a page and the cursor of the next one; raises as `repeat` does."""
        body, headers = self.repeat(lambda: self._read(ask))
        return _parsed(body), headers["X-Next-Cursor"]

    def repeat(self, attempt: Callable[[], T]) -> T:
        """Return what `attempt()` returns, calling it again while the server is away, busy or not wholly loaded.

        Raises:
            RefusedByServer: it said no; `tries` of the error tells at which call.
            Unreachable: it did not answer in time.
        """
        deadline = self._clock() + self.patience_s
        for tries, pause_s in enumerate(pauses(), start=1):
            try:
                return attempt()
            except RefusedByServer as error:
                error.tries = tries
                if error.code == 404 and error.passing and tries == 1:
                    log.warning("%s Waiting for it.", error)
                if not error.passing:
                    raise
                last: ClientError = error
                pause_s = max(pause_s, min(error.retry_after_s or 0.0, LONGEST_PAUSE_S))
            except BROKEN as error:
                last = self.unreachable(error)
            if self._clock() + pause_s > deadline:
                raise last
            self._sleep(pause_s)
        raise AssertionError("pauses never end")

    def unreachable(self, error: BaseException) -> Unreachable:
        """Return the error that says so of a broken connection."""
        why = getattr(error, "reason", None) or error
        return Unreachable(
            f"{self.url} does not answer ({why or type(error).__name__}); is the server running there?"
        )

    def open(self, ask: Ask) -> http.client.HTTPResponse:
        """Send a request once and return the open answer.

        Raises:
            RefusedByServer: an answer other than success.
            ClientError: the path leads elsewhere.
            OSError, HTTPException: no answer.
        """
        if not ask.path.startswith("/"):  # as it would be part of the host's name
            raise ClientError(f"A path on the server must begin with '/', found {ask.path[:80]!r}.")
        query = {name: value for name, value in ask.query.items() if value is not None}
        address = f"{self.url}{ask.path}" + (f"?{urlencode(query)}" if query else "")
        content = None if ask.body is None else json.dumps(ask.body).encode()
        request = urllib.request.Request(address, content, dict(ask.headers), method=ask.method)
        if content is not None:
            request.add_header("Content-Type", "application/json")
        if self._login:
            request.add_header("Authorization", f"Basic {self._login}")
        try:
            answer: http.client.HTTPResponse = self._opener.open(request, timeout=self.timeout_s)
        except urllib.error.HTTPError as error:
            with error:
                raise refusal(error.code, error.read(), error.headers.get("Retry-After")) from None
        return answer

    def _read(self, ask: Ask) -> tuple[bytes, Any]:
        with self.open(ask) as answer:
            return answer.read(), answer.headers

    def _json(self, ask: Ask) -> Any:
        return _parsed(self._read(ask)[0])


def pauses() -> Iterator[float]:
    """Yield the seconds to wait before each repetition: doubling, bounded, and never the same for two clients."""
    pause_s = FIRST_PAUSE_S
    while True:
        yield pause_s * random.uniform(0.75, 1.25)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise ClientError("The answer is not JSON; is this the address of a Deforum server?") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A login is never sent on to another address."""

    def redirect_request(self, *args: Any) -> None:
        return None
