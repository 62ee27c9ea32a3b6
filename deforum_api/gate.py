"""The gate: the outermost layer of an app, which every request passes before any route sees it."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse

from deforum_api.errors import ApiError, Refused
from deforum_api.security import UPLOAD_PATH, Access, check_host, guard

# Routes bound their bodies more tightly; these hold for whatever is served.
MAX_BODY_BYTES = 16 << 20
MAX_UPLOAD_BYTES = 520 << 20
_ADDED = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "SAMEORIGIN"}


class Gate:
    """An ASGI app around another one: Host, Origin, login, content type and size are checked before it is asked.

    Answers carry CORS headers only for the origins that `access` lists, whatever the app inside says of others.

    Args:
        app: what is guarded, with all that is mounted in it.
        access: who may ask.
    """

    def __init__(self, app: Any, access: Access) -> None:
        self._app = app
        self._access = access
        self._checked: Any = self._guarded
        if access.origins:
            self._checked = CORSMiddleware(
                self._guarded,
                allow_origins=list(access.origins),
                allow_methods=["GET", "HEAD", "POST", "DELETE"],
                allow_headers=["*"],
                expose_headers=["X-Next-Cursor"],
            )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":  # nothing here speaks over a websocket
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._from_known_host(scope, receive, send)

    async def _from_known_host(self, scope: Any, receive: Any, send: Any) -> None:
        """A foreign name that leads here is refused before anything else, also where CORS would answer by itself."""
        try:
            check_host(Request(scope).headers.get("host", ""), self._access)
        except ApiError as error:
            await _refusal(error)(scope, receive, _with_headers(send))
            return
        await self._checked(scope, receive, send)

    async def _guarded(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope)
        send = _with_headers(send)
        most = MAX_UPLOAD_BYTES if request.url.path == UPLOAD_PATH else MAX_BODY_BYTES
        try:
            guard(request, request.url.path, self._access)
            _check_size(request, most)
        except ApiError as error:
            await _refusal(error)(scope, receive, send)
            return
        await self._app(scope, _bounded(receive, most), send)


def _refusal(error: ApiError) -> JSONResponse:
    return JSONResponse(error.envelope(), error.code, headers=dict(error.headers))


def _check_size(request: Request, most: int) -> None:
    length = request.headers.get("content-length", "0")
    if not (length.isascii() and length.isdecimal()) or int(length[:20]) > most:
        raise Refused(f"The body is larger than {most >> 20} MiB.", code=413)


def _bounded(receive: Any, most: int) -> Any:
    """Return `receive` that ends a request whose body grows beyond what it may have."""
    got = 0

    async def bounded() -> Any:
        nonlocal got
        message = await receive()
        got += len(message.get("body", b""))
        return {"type": "http.disconnect"} if got > most else message

    return bounded


def _with_headers(send: Any) -> Any:
    """Return `send` whose answers are taken for nothing but their type, and framed and read by no other origin."""

    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name in [name for name in headers if name.startswith("access-control-")]:
                del headers[name]
            for name, value in _ADDED.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
