"""Access checks that every request passes before its body is read."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request

from deforum_api.http import messages
from deforum_api.queue.errors import Refused

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
CHANGING_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
LOOKING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FORM_PATHS = frozenset({"/deforum/run", "/deforum/run/"})
FORM_TYPE = "application/x-www-form-urlencoded"
# Files are dropped into the tab of the standalone server; a form is all that its page sends there.
UPLOAD_PATH = "/gradio_api/upload"
UPLOAD_TYPE = "multipart/form-data"


@dataclass(frozen=True)
class Access:
    """The access rules of a server.

    Args:
        accounts: "user:password" each; empty = no login.
        hosts: accepted Host names besides those of the loopback interface.
        any_address: accept any IP address as Host, as the server listens on all of them.
        origins: other web origins that may change something; "*" = all.
    """

    accounts: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    any_address: bool = False
    origins: tuple[str, ...] = ()


def access_of(flags: Any) -> Access:
    """Return the access rules set by the flags of the standalone host or a WebUI."""
    listen = bool(getattr(flags, "listen", False))
    names = {str(getattr(flags, "server_name", None) or "").lower()}
    if listen:
        machine = socket.gethostname().lower()
        names |= {machine, f"{machine}.local"}
    return Access(
        accounts=split_list(getattr(flags, "api_auth", None)),
        hosts=tuple(sorted(names - {""})),
        any_address=listen,
        origins=tuple(map(_as_browsers_write, split_list(getattr(flags, "cors_allow_origins", None)))),
    )


def _as_browsers_write(address: str) -> str:
    """Return the origin of a page as browsers send it: in small letters, without a path or a slash at its end."""
    scheme, separator, rest = address.lower().partition("://")
    return scheme + separator + rest.partition("/")[0]


def split_list(text: str | None) -> tuple[str, ...]:
    """Return the parts of a comma-separated list."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def guard(request: Request, path: str, access: Access) -> None:
    """Check the headers of a request.

    Args:
        request: its body is not read.
        path: the route's path.
        access: the access rules.

    Raises:
        Refused: 421 a foreign Host, 403 a foreign page, 415 a content type or encoding, 401 no login.
    """
    check_host(request.headers.get("host", ""), access)
    check_page(request, access)
    if request.method not in LOOKING_METHODS:
        check_origin(request.headers.get("origin"), request.headers.get("host", ""), access)
        check_content_type(request.headers.get("content-type"), path)
        check_content_encoding(request.headers.get("content-encoding"))
    if access.accounts:
        check_login(request.headers.get("authorization", ""), access.accounts)


def check_host(host: str, access: Access) -> None:
    """Refuse a foreign Host: a page whose name resolves to this machine (DNS rebinding) sends its own name."""
    name = host_name(host)
    if name in LOCAL_HOSTS or name in access.hosts or (access.any_address and _is_address(name)):
        return
    raise Refused(messages.FOREIGN_HOST(host=host[:100]), code=421)


def check_origin(origin: str | None, host: str, access: Access) -> None:
    """Refuse changes by pages of foreign origins; programs send no Origin."""
    if origin is None or origin in access.origins or "*" in access.origins:
        return
    if _origin_host(origin) == host.lower():
        return
    raise Refused(messages.FOREIGN_ORIGIN(origin=origin[:100]), code=403)


def check_page(request: Request, access: Access) -> None:
    """A page of another origin may lead here by a link, but not frame or load what is here.

    Browsers say so of each request, also of those that carry no Origin; programs do not, and pass. Where some origins
    are allowed, a browser does not say which of them loads an image, so that CORS alone decides.
    """
    if access.origins or request.headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return
    led = ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")
    if request.method in LOOKING_METHODS and all(request.headers.get(name) == value for name, value in led):
        return
    raise Refused(messages.FOREIGN_PAGE(), code=403)


def check_content_type(content_type: str | None, path: str) -> None:
    """Accept JSON only: browsers send forms and plain text, but not JSON, to foreign sites without a preflight."""
    kind = (content_type or "application/json").split(";")[0].strip().lower()
    if path == UPLOAD_PATH:
        if kind == UPLOAD_TYPE:
            return
        raise Refused(messages.UPLOAD_TYPE_REFUSED(expected=UPLOAD_TYPE, found=kind[:60]), code=415)
    if kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")):
        return
    if kind == FORM_TYPE and path in FORM_PATHS:
        return
    raise Refused(messages.CONTENT_TYPE_REFUSED(found=kind[:60]), code=415)


def check_content_encoding(encoding: str | None) -> None:
    """Refuse compressed bodies: the bounds of a body are those of what it says, and nothing here unpacks it."""
    if (encoding or "identity").strip().lower() != "identity":
        raise Refused(messages.CONTENT_ENCODING_REFUSED(found=(encoding or "")[:60]), code=415)


def check_login(authorization: str, accounts: Sequence[str]) -> None:
    """Compare with every account in constant time, so that timing reveals nothing."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        given = base64.b64decode(encoded.strip(), validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        given = b""
    matches = [secrets.compare_digest(given, account.encode()) for account in accounts]
    if not any(matches):
        headers = {"WWW-Authenticate": 'Basic realm="Deforum", charset="UTF-8"'}
        raise Refused(messages.LOGIN_REQUIRED(), code=401, headers=headers)


def host_name(host: str) -> str:
    """Return the name in a Host header: without port and brackets, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def _origin_host(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
