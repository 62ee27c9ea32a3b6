"""Transports of requests: httpx, which keeps connections open, where it is installed; else the standard library.

Both follow no redirect, so that a login is never sent to another address, and use no proxy for this machine.
"""

from __future__ import annotations

import importlib.util
import ssl
import urllib.error
import urllib.request
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import httpx

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


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
