"""HTTP requests that are retried until the server responds, since it may restart at any time.

They are sent by httpx, which keeps connections open, where it is installed; else by the standard library. Both follow
no redirect, so that a login is never sent to another address, and use no proxy for this machine.
"""

from __future__ import annotations

import base64
import http.client
import importlib.util
import json
import logging
import random
import ssl
import time
import urllib.error
import urllib.request
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlencode, urlsplit

from deforum_api.client import messages
from deforum_api.client.errors import ClientError, RefusedByServer, Unreachable, refusal

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 8.0
CONNECTION_ERRORS = (OSError, http.client.HTTPException, EOFError)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Request:
    """One request: method, path with its leading slash, query, body (sent as JSON) and headers."""

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


def _server_address(url: str) -> str:
    """Return the address that routes begin with, from one that may be copied from a browser: `.../?__theme=dark`.

    Raises:
        ClientError: it is not an http address.
    """
    try:
        parts = urlsplit(url.strip())
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            path = parts.path.rstrip("/").removesuffix("/deforum_api").rstrip("/")
            return f"{parts.scheme}://{parts.netloc}{path}"
    except ValueError:  # a port or an IPv6 address that is none
        pass
    raise ClientError(messages.INVALID_SERVER_ADDRESS(found=url[:80]))


class Connection:
    """Sends requests to one server, and retries them.

    Args:
        url: address of the server, such as `http://127.0.0.1:7860`; that of its tab or of its API will do.
        login: "user:password", or None.
        timeout_s: longest silence within one response, seconds.
        patience_s: how long a request is retried while the server is down or busy, seconds.
        clock, sleep: clock and sleep function, in seconds.

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
        self.url = _server_address(url)
        self.timeout_s = timeout_s
        self.patience_s = patience_s
        self._clock = clock
        self._sleep = sleep
        self._login = base64.b64encode(login.encode()).decode() if login else ""
        self._transport: Transport | None = None

    def json(self, request: Request) -> Any:
        """Return the JSON value of the response; raises as `retry` does."""
        return self.retry(lambda: self._json(request))

    def content(self, request: Request) -> bytes:
        """Return the body of the response; raises as `retry` does."""
        return self.retry(lambda: self._read(request)[0])

    def page(self, request: Request) -> tuple[Any, str | None]:
        """Return the JSON value of a page and the cursor of the next one; raises as `retry` does."""
        body, headers = self.retry(lambda: self._read(request))
        return _parsed(body), headers["X-Next-Cursor"]

    def retry(self, attempt: Callable[[], T]) -> T:
        """Return the result of `attempt()`, which is called again while the server is down, busy or still loading.

        Raises:
            RefusedByServer: the server refused; the error's `tries` is the number of calls.
            Unreachable: the server did not respond in time.
        """
        deadline = self._clock() + self.patience_s
        for tries, pause_s in enumerate(pauses(), start=1):
            try:
                return attempt()
            except RefusedByServer as error:
                error.tries = tries
                if error.code == 404 and error.temporary and tries == 1:
                    log.warning("%s", messages.WAITING_FOR_SERVER(error=error))
                if not error.temporary:
                    raise
                last: ClientError = error
                pause_s = max(pause_s, min(error.retry_after_s or 0.0, LONGEST_PAUSE_S))
            except CONNECTION_ERRORS as error:
                last = self.unreachable(error)
            if self._clock() + pause_s > deadline:
                raise last
            self._sleep(pause_s)
        raise AssertionError("pauses never end")

    def unreachable(self, error: BaseException) -> Unreachable:
        """Return the error for a connection that failed with `error`."""
        reason = str(getattr(error, "reason", None) or error) or type(error).__name__
        return Unreachable(messages.SERVER_UNREACHABLE(url=self.url, reason=reason))

    def open(self, request: Request) -> Answer:
        """Send a request once and return the open response.

        Raises:
            RefusedByServer: the server responded with an error.
            ClientError: the path does not begin with a slash.
            OSError, HTTPException: the server did not respond.
        """
        if not request.path.startswith("/"):  # it would become part of the host's name
            raise ClientError(messages.PATH_WITHOUT_SLASH(found=request.path[:80]))
        query = {name: value for name, value in request.query.items() if value is not None}
        address = f"{self.url}{request.path}" + (f"?{urlencode(query)}" if query else "")
        content = None if request.body is None else json.dumps(request.body).encode()
        headers = dict(request.headers)
        if content is not None:
            headers["Content-Type"] = "application/json"
        if self._login:
            headers["Authorization"] = f"Basic {self._login}"
        if self._transport is None:
            self._transport = transport_to(self.url, self.timeout_s)
        answer = self._transport.open(request.method, address, content, headers)
        if answer.status >= 300:
            with answer:
                raise refusal(answer.status, answer.read(), answer.headers.get("Retry-After"))
        return answer

    def _read(self, request: Request) -> tuple[bytes, Any]:
        with self.open(request) as answer:
            return answer.read(), answer.headers

    def _json(self, request: Request) -> Any:
        return _parsed(self._read(request)[0])


def pauses() -> Iterator[float]:
    """Yield the seconds to wait before each retry: doubling, bounded, randomized so that clients do not coincide."""
    pause_s = FIRST_PAUSE_S
    while True:
        yield pause_s * random.uniform(0.75, 1.25)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise ClientError(messages.RESPONSE_NOT_JSON()) from None


class Answer(Protocol):
    """An open response of any status; iteration yields its lines. It is closed by leaving its `with` block."""

    status: int
    headers: Message

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, at most `size`; b"" at the end. Without a size, return all."""
        ...

    def __iter__(self) -> Iterator[bytes]: ...
    def __enter__(self) -> Answer: ...
    def __exit__(self, *error: Any) -> None: ...


class Transport(Protocol):
    """Sends requests."""

    def open(self, method: str, address: str, content: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Send a request and return the response.

        Raises:
            OSError, HTTPException: the server did not respond; reading the response may raise them too.
        """
        ...


def transport_to(url: str, timeout_s: float) -> Transport:
    """Return a transport to the server at `url`; `timeout_s`: longest silence within one response, seconds."""
    uses_proxy = urlsplit(url).hostname not in _LOOPBACK
    kind = HttpxTransport if importlib.util.find_spec("httpx") else PlainTransport
    return kind(timeout_s, uses_proxy=uses_proxy)


class PlainTransport:
    """The standard library's transport: one connection per request."""

    def __init__(self, timeout_s: float, *, uses_proxy: bool) -> None:
        self._timeout_s = timeout_s
        proxies = urllib.request.ProxyHandler(None if uses_proxy else {})
        self._opener = urllib.request.build_opener(proxies, _NoRedirect())

    def open(self, method: str, address: str, content: bytes | None, headers: Mapping[str, str]) -> Answer:
        request = urllib.request.Request(address, content, dict(headers), method=method)
        answer: Answer
        try:
            answer = self._opener.open(request, timeout=self._timeout_s)
        except urllib.error.HTTPError as error:
            answer = error  # type: ignore[assignment]
        return answer


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


class HttpxTransport:
    """httpx's transport; its connections are closed with it."""

    def __init__(self, timeout_s: float, *, uses_proxy: bool) -> None:
        import httpx

        # The system's certificates, as the standard library; httpx has its own.
        self._client = httpx.Client(
            timeout=timeout_s, trust_env=uses_proxy, verify=ssl.create_default_context()
        )
        weakref.finalize(self, self._client.close)

    def open(self, method: str, address: str, content: bytes | None, headers: Mapping[str, str]) -> Answer:
        with _translated():
            request = self._client.build_request(
                method, address, content=content, headers={"Accept-Encoding": "identity", **headers}
            )
            return _HttpxAnswer(self._client.send(request, stream=True, follow_redirects=False))


class _HttpxAnswer:
    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers = Message()
        for name, value in response.headers.multi_items():
            self.headers[name] = value
        self._response = response
        self._chunks = response.iter_raw()
        self._ahead = b""

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(1 << 16), b""))
        piece = self._ahead or self._next()
        self._ahead = piece[size:]
        return piece[:size]

    def _next(self) -> bytes:
        with _translated():
            return next(self._chunks, b"")

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._ahead or self._next():
            while b"\n" not in piece and (more := self._next()):
                piece += more
            line, end, self._ahead = piece.partition(b"\n")
            yield line + end

    def __enter__(self) -> _HttpxAnswer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._response.close()


@contextmanager
def _translated() -> Iterator[None]:
    """Raise httpx's errors as those of the standard library."""
    import httpx

    try:
        yield
    except httpx.TimeoutException as error:
        raise TimeoutError(str(error) or "timed out") from error
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise ConnectionError(str(error)) from error
