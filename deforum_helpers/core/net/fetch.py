"""Guarded fetching of files from http(s) addresses in settings, which may come from an attacker.

The addresses must not give access to this machine or its network. A host name is resolved once, and only if all of its
addresses are public is one of them contacted, so a second resolution cannot lead elsewhere. Redirects follow the same
rules. Proxies, passwords in addresses and cookies are not used; time and size are limited; the content
type must fit. Fetched files are cached as long as their servers allow, and then fetched again only if changed.

httpcore speaks HTTP; `_Network` is the network that it gets, and its only way to a server.
"""

from __future__ import annotations

import errno
import http
import ipaddress
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any, BinaryIO, Literal
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from deforum_helpers.core.deadlines import within
from deforum_helpers.core.errors import Problem, SettingsError, exhausted_resource
from deforum_helpers.core.net import messages
from deforum_helpers.core.net.cache import CachedFile, FetchCache
from deforum_helpers.core.optional import require

Kind = Literal["image", "audio", "video", "json", "camera"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LARGEST_BYTES = 50_000_000
LONGEST_S = 10.0
MOST_REDIRECTS = 5
MOST_URL_CHARACTERS = 4000

# Servers without a better type send octet-stream; the content itself is checked when it is read.
_UNSPECIFIED = ("application/octet-stream", "binary/octet-stream", "")
_ANIMATIONS = ("image/gif", "image/webp", "image/avif", "image/apng", "image/png")
TYPES: dict[Kind, tuple[str, ...]] = {
    "image": ("image/", *_UNSPECIFIED),
    "audio": ("audio/", "video/", "application/ogg", *_UNSPECIFIED),
    "video": ("video/", "application/mp4", "application/ogg", *_ANIMATIONS, *_UNSPECIFIED),
    "json": ("application/json", "text/json", "text/plain", *_UNSPECIFIED),
    "camera": (
        "model/gltf",
        "model/gltf-binary",
        "model/gltf+json",
        "application/json",
        "text/",
        *_UNSPECIFIED,
    ),
}
_BUSY = (408, 425, 429)
_REDIRECTS = (301, 302, 303, 307, 308)

_TRANSLATED = (
    ipaddress.ip_network("64:ff9b::/96"),
    ipaddress.ip_network("64:ff9b:1::/48"),
    ipaddress.ip_network("2001::/32"),
    ipaddress.ip_network("2002::/16"),
)


def is_url(text: str) -> bool:
    """Tell whether `text` is an http(s) address."""
    return text.strip()[:8].casefold().startswith(("http://", "https://"))


def is_public(address: Address) -> bool:
    """Tell whether an address is public: not of this machine or its network, and not a translation of such a one."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if any(address in network for network in _TRANSLATED):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def look_up(host: str, port: int) -> list[Address]:
    """Return the addresses of a host from the system's resolver.

    Raises:
        OSError: the host is unknown.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


@dataclass(frozen=True)
class Fetcher:
    """Fetches files from http(s) addresses.

    Args:
        look_up: resolves a host and port to addresses.
        allowed: tells whether an address may be contacted.
        largest_bytes: largest size of a file.
        longest_s: time limit of a whole fetch, in seconds.
        tls: TLS context; by default one that checks certificates.
        cache: cache of fetched files; each server has one.
    """

    look_up: Callable[[str, int], list[Address]] = look_up
    allowed: Callable[[Address], bool] = is_public
    largest_bytes: int = LARGEST_BYTES
    longest_s: float = LONGEST_S
    tls: ssl.SSLContext | None = None
    cache: FetchCache = field(default_factory=FetchCache)

    def fetch(self, url: str, kind: Kind, target: Path, *, setting: str) -> None:
        """Write the file at `url` to `target`.

        Args:
            url: http(s) address.
            kind: kind of file that is expected.
            target: path of a new file; removed again if the fetch fails.
            setting: name of the setting with the address, for the error.

        Raises:
            SettingsError: the file cannot or must not be fetched.
        """
        try:
            with target.open("xb") as file:
                self._write(file, target, url.strip(), kind)
        except (_Refused, ssl.SSLError, OSError) as error:
            target.unlink(missing_ok=True)
            raise _problem(setting, url, _reason(error), passing=_passes(error)) from None
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Send `body` to `url` and return the status of the response; redirects are not followed.

        Raises:
            NotSent: the address is refused, or its server does not respond in time.
        """
        try:
            with self._requested(url.strip(), time.monotonic() + self.longest_s, headers, body) as response:
                return response.status
        except (_Refused, ssl.SSLError, OSError) as error:
            raise NotSent(_reason(error), passing=_passes(error)) from None

    def refusal(self, url: str) -> str | None:
        """Return why nothing would be sent to `url`, as a clause; None if it would, or if its host is unknown now."""
        try:
            _, host, port = _parts(url.strip())
            self._address(host, port, time.monotonic() + self.longest_s)
        except _Refused as error:
            return None if error.passing else str(error)
        return None

    def _write(self, file: BinaryIO, target: Path, url: str, kind: Kind) -> None:
        """Write the cached file of `url`, or the response of its server."""
        cached, key = self.cache.find((url, kind)), (url, kind)
        if cached is not None and self.cache.is_fresh(cached) and _copied(cached, file):
            return
        ends_at = time.monotonic() + self.longest_s
        with self._response(url, ends_at, cached) as (response, last_url):
            unchanged = response.status == http.HTTPStatus.NOT_MODIFIED
            if unchanged and cached is not None and last_url == cached.url and _copied(cached, file):
                self.cache.renew(key, cached, response.headers)
                return
            for chunk in self._body(response, kind, ends_at):
                file.write(chunk)
            file.flush()
            self.cache.keep(key, target, last_url, response.headers)

    @contextmanager
    def _response(
        self, url: str, ends_at: float, cached: CachedFile | None
    ) -> Iterator[tuple[_Response, str]]:
        """Yield the response after any redirects, and its address."""
        for _ in range(MOST_REDIRECTS + 1):
            conditions = cached.conditions if cached is not None and cached.url == url else {}
            with self._requested(url, ends_at, conditions) as response:
                if response.status not in _REDIRECTS:
                    yield response, url
                    return
                url = urljoin(url, response.headers.get("Location", ""))
        raise _Refused(messages.TOO_MANY_REDIRECTS())

    @contextmanager
    def _requested(
        self, url: str, ends_at: float, headers: Mapping[str, str], body: bytes | None = None
    ) -> Iterator[_Response]:
        """Yield the response of the server of `url` to GET, or to POST of `body`."""
        httpcore = require("httpcore", "Fetching an address", "pip install httpcore")
        parts, host, port = _parts(url)
        path = quote(parts.path or "/", _KEPT) + (f"?{quote(parts.query, _KEPT)}" if parts.query else "")
        scheme, name = parts.scheme.encode(), _encoded(host)
        network = _Network(lambda _, port: self._address(host, port, ends_at), ends_at)
        connection = httpcore.HTTPConnection(
            httpcore.Origin(scheme, name, port),
            ssl_context=self.tls or ssl.create_default_context(),
            network_backend=network,
        )
        target = httpcore.URL(scheme=scheme, host=name, port=port, target=path.encode())
        sent = {"Host": _authority(name.decode(), parts.port), **_HEADERS, **headers}
        method = "GET" if body is None else "POST"
        fields = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
        with closing(connection), ExitStack() as stack:
            try:
                response = stack.enter_context(
                    connection.stream(method, target, headers=fields, content=body)
                )
            except OSError:  # an invalid certificate is a ValueError too
                raise
            except (httpcore.ProtocolError, ValueError):  # old h11 converts lengths of any number of digits
                raise _Refused(messages.UNREACHABLE(), passing=True) from None
            yield _Response(response.status, _headers(response.headers), _chunks(httpcore, response))

    def _address(self, host: str, port: int, ends_at: float) -> Address:
        """Return an address of a host, whose addresses must all be public."""
        try:
            addresses = within(_left(ends_at), lambda: self.look_up(host, port))
        except TimeoutError:
            raise _Refused(messages.TOO_SLOW(), passing=True) from None
        except (OSError, UnicodeError, ValueError):
            addresses = []
        if not addresses:
            raise _Refused(messages.UNKNOWN_HOST(), passing=True)
        if not all(self.allowed(address) for address in addresses):
            raise _Refused(messages.PRIVATE_HOST())
        return addresses[0]

    def _body(self, response: _Response, kind: Kind, ends_at: float) -> Iterator[bytes]:
        if response.status != 200:
            busy = response.status in _BUSY or response.status >= 500
            raise _Refused(messages.BAD_STATUS(status=response.status), passing=busy)
        found = response.headers.get("Content-Type", "").partition(";")[0].strip().casefold()
        if not any(
            found == known or (known.endswith("/") and found.startswith(known)) for known in TYPES[kind]
        ):
            raise _Refused(messages.WRONG_TYPE(found=found[:60], kind=kind))
        if response.headers.get("Content-Encoding", "identity").casefold() != "identity":
            raise _Refused(messages.COMPRESSED())
        if int(response.headers.get("Content-Length", 0)) > self.largest_bytes:
            raise _Refused(self._too_large())
        size = 0
        for chunk in response.chunks:
            _left(ends_at)
            size += len(chunk)
            if size > self.largest_bytes:
                raise _Refused(self._too_large())
            yield chunk
        if not size:
            raise _Refused(messages.EMPTY())

    def _too_large(self) -> str:
        return messages.TOO_LARGE(limit=self.largest_bytes / 1e6)


class NotSent(Exception):
    """A body could not be sent; the reason is a clause. `passing`: a later try may succeed."""

    def __init__(self, reason: str, *, passing: bool) -> None:
        super().__init__(reason)
        self.passing = passing


class _Refused(Exception):
    """An address is not fetched; the reason is a clause. `passing`: a later fetch may succeed."""

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing


@dataclass(frozen=True)
class _Response:
    """A response; `chunks` is its body, which can be read once."""

    status: int
    headers: Message
    chunks: Iterator[bytes]


@dataclass(frozen=True)
class _Network:
    """The network of one request, a backend of httpcore.

    Args:
        address: resolves a host and port to the address that is contacted; refuses a host that must not be.
        ends_at: when the time of the fetch is up, on the monotonic clock.
    """

    address: Callable[[str, int], Address]
    ends_at: float

    def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> _Stream:
        address = str(self.address(host, port))
        return _Stream(socket.create_connection((address, port), _left(self.ends_at)), self.ends_at)


class _Stream:
    """A connection, a network stream of httpcore. The time of the fetch limits each operation, whatever timeout it has.

    A server that sends a byte at a time gains nothing: every read has only the time that is left.
    """

    def __init__(self, line: socket.socket, ends_at: float) -> None:
        self._line = line
        self._ends_at = ends_at

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._line.settimeout(_left(self._ends_at))
        return self._line.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._line.settimeout(_left(self._ends_at))
        self._line.sendall(buffer)

    def close(self) -> None:
        self._line.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> _Stream:
        self._line.settimeout(_left(self._ends_at))  # Python applies it to the handshake as a whole
        return _Stream(ssl_context.wrap_socket(self._line, server_hostname=server_hostname), self._ends_at)

    def get_extra_info(self, info: str) -> None:
        return None


_HEADERS = {"User-Agent": "Deforum", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
_KEPT = "/%:=&?~+!$,;'@()*[]"


def address_fault(url: str) -> str | None:
    """Return why `url` is no address that can be contacted, as a clause, or None; looks nothing up."""
    try:
        _parts(url.strip())
    except _Refused as error:
        return str(error)
    return None


def host_and_port(url: str) -> tuple[str, int]:
    """Return host and port of an address without `address_fault`; the host in lower case."""
    _, host, port = _parts(url.strip())
    return host.rstrip("."), port


def _parts(url: str) -> tuple[SplitResult, str, int]:
    """Split an address into its parts, its host and its port."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise _Refused(messages.INVALID_ADDRESS()) from None
    if parts.scheme not in ("http", "https") or len(url) > MOST_URL_CHARACTERS:
        raise _Refused(messages.WRONG_SCHEME())
    if parts.username is not None or parts.password is not None:
        raise _Refused(messages.ADDRESS_WITH_LOGIN())
    if not parts.hostname:
        raise _Refused(messages.NO_HOST())
    return parts, parts.hostname, port


def _encoded(host: str) -> bytes:
    """Return a host's name in ASCII."""
    try:
        return host.encode("ascii") if host.isascii() else host.encode("idna")
    except UnicodeError:
        raise _Refused(messages.UNKNOWN_HOST(), passing=True) from None


def _authority(host: str, port: int | None) -> str:
    """Return the value of the header Host."""
    return (f"[{host}]" if ":" in host else host) + (f":{port}" if port is not None else "")


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> Message:
    """Return headers with lookups that ignore case."""
    headers = Message()
    for name, value in pairs:
        headers[name.decode("latin-1")] = value.decode("latin-1")
    return headers


def _chunks(httpcore: Any, response: Any) -> Iterator[bytes]:
    """Yield the body of a response of httpcore."""
    try:
        yield from response.iter_stream()
    except httpcore.ProtocolError:
        raise _Refused(messages.CUT_SHORT(), passing=True) from None


def _left(ends_at: float) -> float:
    """Return the seconds left; refuses if there are none."""
    left = ends_at - time.monotonic()
    if left <= 0:
        raise _Refused(messages.TOO_SLOW(), passing=True)
    return left


def _copied(cached: CachedFile, file: BinaryIO) -> bool:
    """Copy a cached file to `file`; returns False, with nothing written, if it was just evicted."""
    try:
        with cached.path.open("rb") as content:
            shutil.copyfileobj(content, file)
    except FileNotFoundError:
        return False
    return True


def _reason(error: Exception) -> str:
    if isinstance(error, _Refused):
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return messages.BAD_CERTIFICATE()
    if isinstance(error, TimeoutError):
        return messages.TOO_SLOW()
    if resource := exhausted_resource(error):
        return messages.RESOURCE_EXHAUSTED(resource=resource)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return messages.TEMPORARY_DISK_FULL()
    return messages.UNREACHABLE()


def _passes(error: Exception) -> bool:
    """Tell whether the same fetch may succeed later."""
    if isinstance(error, _Refused):
        return error.passing
    return not isinstance(error, ssl.SSLCertVerificationError)


def _problem(setting: str, url: str, reason: str, *, passing: bool) -> SettingsError:
    shown = repr(url if len(url) <= 120 else url[:119] + "…")
    message = messages.NOT_FETCHED(setting=setting, address=shown, reason=reason)
    allowed = "a public http(s) address, or a local file"
    return SettingsError([Problem(message, setting, found=shown, allowed=allowed, passing=passing)])
