"""Files from http(s) addresses that strangers' settings name, fetched without becoming their way into this network.

A host name is looked up once; only if every address it has is public is one of them connected to, so a second look-up
cannot lead elsewhere. Redirects are followed by the same rules. Proxies, passwords in addresses and cookies are not
used; time and size are bounded; what comes must say that it is of the kind wanted. What came before is kept as long
as its server allows, and asked for anew only if it has changed.
"""

from __future__ import annotations

import contextlib
import errno
import http
import http.client
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from deforum_helpers.core.deadlines import within
from deforum_helpers.core.errors import Problem, SettingsError, lacking
from deforum_helpers.core.net.addresses import Address, is_public, look_up
from deforum_helpers.core.net.cache import FetchCache, Kept

Kind = Literal["image", "audio", "video", "json"]

LARGEST_BYTES = 50_000_000
LONGEST_S = 10.0
MOST_REDIRECTS = 5
MOST_URL_CHARACTERS = 4000
CHUNK_BYTES = 64 * 1024

# Servers that do not know better say octet-stream; what the bytes are is seen when they are read.
_UNTOLD = ("application/octet-stream", "binary/octet-stream", "")
_ANIMATIONS = ("image/gif", "image/webp", "image/avif", "image/apng", "image/png")
TYPES: dict[Kind, tuple[str, ...]] = {
    "image": ("image/", *_UNTOLD),
    "audio": ("audio/", "video/", "application/ogg", *_UNTOLD),
    "video": ("video/", "application/mp4", "application/ogg", *_ANIMATIONS, *_UNTOLD),
    "json": ("application/json", "text/json", "text/plain", *_UNTOLD),
}
_BUSY = (408, 425, 429)
_REDIRECTS = (301, 302, 303, 307, 308)


def is_url(text: str) -> bool:
    """Tell whether `text` is an http(s) address."""
    return text.strip()[:8].casefold().startswith(("http://", "https://"))


@dataclass(frozen=True)
class Fetcher:
    """Fetches files from http(s) addresses.

    Args:
        look_up: gives the addresses of a host and port.
        allowed: which addresses may be connected to.
        largest_bytes: bound of a file.
        longest_s: bound of the whole fetch, seconds.
        tls: context of https; by default one that checks certificates.
        cache: what was fetched before; every server has one.
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
            kind: what it has to be.
            target: path of a file that does not exist; it is removed again when the fetch fails.
            setting: name of the setting that names it, for the error.

        Raises:
            SettingsError: it cannot or must not be fetched, in one sentence.
        """
        try:
            with target.open("xb") as file:
                self._write(file, target, url.strip(), kind)
        except (_Refused, ssl.SSLError, OSError, http.client.HTTPException) as error:
            target.unlink(missing_ok=True)
            raise _problem(setting, url, _reason(error), passing=_passes(error)) from None
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    def _write(self, file: BinaryIO, target: Path, url: str, kind: Kind) -> None:
        """Write what is kept of `url`, or what its server answers."""
        kept, key = self.cache.find((url, kind)), (url, kind)
        if kept is not None and self.cache.is_fresh(kept) and _copied(kept, file):
            return
        ends_at = time.monotonic() + self.longest_s
        with self._answer(url, ends_at, kept) as (response, last_url):
            unchanged = response.status == http.HTTPStatus.NOT_MODIFIED
            if unchanged and kept is not None and last_url == kept.url and _copied(kept, file):
                self.cache.renew(key, kept, response.headers)
                return
            for chunk in self._body(response, kind, ends_at):
                file.write(chunk)
            file.flush()
            self.cache.keep(key, target, last_url, response.headers)

    @contextmanager
    def _answer(
        self, url: str, ends_at: float, kept: Kept | None
    ) -> Iterator[tuple[http.client.HTTPResponse, str]]:
        """Give the answer after any redirects, and where it came from."""
        for _ in range(MOST_REDIRECTS + 1):
            conditions = kept.conditions if kept is not None and kept.url == url else {}
            with self._asked(url, ends_at, conditions) as response:
                if response.status not in _REDIRECTS:
                    yield response, url
                    return
                url = urljoin(url, response.headers.get("Location", ""))
        raise _Refused("it is redirected too often")

    @contextmanager
    def _asked(
        self, url: str, ends_at: float, conditions: Mapping[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        """Give the answer of the server of `url`; the connection is cut when the time is over."""
        parts, host, port = _parts(url)
        line = socket.create_connection((str(self._address(host, port, ends_at)), port), _left(ends_at))
        # TLS takes the line over into a socket of its own: what is cut is the one of the moment.
        watch = threading.Timer(_left(ends_at), lambda: _cut(line))
        watch.daemon = True
        watch.start()
        try:
            connection: http.client.HTTPConnection
            if parts.scheme == "https":
                tls = self.tls or ssl.create_default_context()
                connection = http.client.HTTPSConnection(host, port, context=tls)
                line = tls.wrap_socket(line, server_hostname=host, do_handshake_on_connect=False)
                _left(ends_at)  # the time may have been over in between
                line.do_handshake()
            else:
                connection = http.client.HTTPConnection(host, port)
            connection.sock = line
            path = quote(parts.path or "/", _KEPT) + (f"?{quote(parts.query, _KEPT)}" if parts.query else "")
            connection.request("GET", path, headers={**_HEADERS, **conditions})
            with contextlib.closing(connection.getresponse()) as response:
                yield response
        except (OSError, http.client.HTTPException):
            _left(ends_at)  # a line that was cut because the time is over says so
            raise
        finally:
            watch.cancel()
            line.close()

    def _address(self, host: str, port: int, ends_at: float) -> Address:
        """Return the address of a host; one that is not public spoils all."""
        try:
            addresses = within(_left(ends_at), lambda: self.look_up(host, port))
        except TimeoutError:
            raise _Refused("it takes too long", passing=True) from None
        except (OSError, UnicodeError, ValueError):
            addresses = []
        if not addresses:
            raise _Refused("its host is not known", passing=True)
        if not all(self.allowed(address) for address in addresses):
            raise _Refused("its host is not on the public network")
        return addresses[0]

    def _body(self, response: http.client.HTTPResponse, kind: Kind, ends_at: float) -> Iterator[bytes]:
        if response.status != 200:
            busy = response.status in _BUSY or response.status >= 500
            raise _Refused(f"the server answers {response.status}", passing=busy)
        told = response.headers.get("Content-Type", "").partition(";")[0].strip().casefold()
        if not any(
            told == known or (known.endswith("/") and told.startswith(known)) for known in TYPES[kind]
        ):
            raise _Refused(f"what is there is {told[:60]!r}, not {kind}")
        if response.headers.get("Content-Encoding", "identity").casefold() != "identity":
            raise _Refused("the server packs what it sends")
        if (response.length or 0) > self.largest_bytes:
            raise _Refused(self._too_large())
        size = 0
        while chunk := response.read1(CHUNK_BYTES):
            _left(ends_at)
            size += len(chunk)
            if size > self.largest_bytes:
                raise _Refused(self._too_large())
            yield chunk
        _left(ends_at)
        if response.length:
            raise _Refused("the connection ended early", passing=True)
        if not size:
            raise _Refused("what is there is empty")

    def _too_large(self) -> str:
        return f"what is there is larger than {self.largest_bytes / 1e6:g} MB"


class _Refused(Exception):
    """Why an address is not fetched, as the rest of a sentence; `passing`: it may be fetched later."""

    def __init__(self, why: str, *, passing: bool = False) -> None:
        super().__init__(why)
        self.passing = passing


_HEADERS = {"User-Agent": "Deforum", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
_KEPT = "/%:=&?~+!$,;'@()*[]"


def _parts(url: str) -> tuple[SplitResult, str, int]:
    """Take an address apart: the whole, its host and its port."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise _Refused("it is no proper address") from None
    if parts.scheme not in ("http", "https") or len(url) > MOST_URL_CHARACTERS:
        raise _Refused("only http and https addresses are fetched")
    if parts.username is not None or parts.password is not None:
        raise _Refused("addresses with a name and password are not fetched")
    if not parts.hostname:
        raise _Refused("it names no host")
    return parts, parts.hostname, port


def _left(ends_at: float) -> float:
    """Return the seconds that are left."""
    left = ends_at - time.monotonic()
    if left <= 0:
        raise _Refused("it takes too long", passing=True)
    return left


def _cut(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(
            line, socket.SHUT_RDWR
        )  # TLS' own would end its session, which another thread reads


def _copied(kept: Kept, file: BinaryIO) -> bool:
    """Write a kept file to `file`; False where it has just gone for want of room, and nothing is written."""
    try:
        with kept.path.open("rb") as content:
            shutil.copyfileobj(content, file)
    except FileNotFoundError:
        return False
    return True


def _reason(error: Exception) -> str:
    if isinstance(error, _Refused):
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the server's certificate is not valid"
    if isinstance(error, TimeoutError):
        return "it takes too long"
    if lack := lacking(error):
        return f"the system has no more {lack}"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the disk for temporary files is full"
    return "the server cannot be reached or does not speak http"


def _passes(error: Exception) -> bool:
    """Tell whether the same fetch may succeed later."""
    if isinstance(error, _Refused):
        return error.passing
    return not isinstance(error, ssl.SSLCertVerificationError)


def _problem(setting: str, url: str, reason: str, *, passing: bool) -> SettingsError:
    shown = repr(url if len(url) <= 120 else url[:119] + "…")
    message = f"{setting} names the address {shown}, but {reason}; give another address or a local file."
    allowed = "a public http(s) address, or a local file"
    return SettingsError([Problem(message, setting, found=shown, allowed=allowed, passing=passing)])
