"""The ASGI layers around the routes: logging of unexpected errors, the checks of every request, mounting."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deforum_api.http import messages
from deforum_api.http.routes import batches, jobs, outputs, settings, simple, tools, workers
from deforum_api.http.routing import Service, error_response, unexpected
from deforum_api.http.security import UPLOAD_PATH, Access, check_host, guard
from deforum_api.queue.errors import ApiError, Refused
from deforum_api.queue.jobs import JobQueue

log = logging.getLogger(__name__)


class FaultLog:
    """ASGI middleware that answers and logs errors which no route has handled.

    Args:
        app: the whole app with everything mounted on it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, ended = 0, False

        async def watched(message: Message) -> None:
            nonlocal status, ended
            status = message.get("status", status)
            await send(message)
            ended = message["type"] == "http.response.body" and not message.get("more_body", False)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            answer = error_response(unexpected(error, scope["method"], scope["path"]))
            if not status:
                await answer(scope, receive, send)
            elif not ended:
                raise  # the server breaks off what the client would take for whole
            return
        if status == 500:
            log.warning("%s %s was answered with 500.", scope["method"], scope["path"][:200])


# Routes have tighter limits; these apply to everything that the app serves.
MAX_BODY_BYTES = 16 << 20
MAX_UPLOAD_BYTES = 520 << 20
_ADDED = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "SAMEORIGIN"}


class Gate:
    """ASGI middleware that checks Host, Origin, login, content type and size of each request.

    Responses have CORS headers only for the origins that `access` lists, whatever the inner app sends.

    Args:
        app: the inner app with everything mounted in it.
        access: the access rules.
    """

    def __init__(self, app: Any, access: Access) -> None:
        self._app = app
        self._access = access
        self._checked: Any = self._check_request
        if access.origins:
            self._checked = CORSMiddleware(
                self._check_request,
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
            await self._check_host_first(scope, receive, send)

    async def _check_host_first(self, scope: Any, receive: Any, send: Any) -> None:
        """Refuse a foreign Host first, before the CORS middleware answers by itself."""
        try:
            check_host(Request(scope).headers.get("host", ""), self._access)
        except ApiError as error:
            await _refusal(error)(scope, receive, _send_with_headers(send))
            return
        await self._checked(scope, receive, send)

    async def _check_request(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope)
        send = _send_with_headers(send)
        most = MAX_UPLOAD_BYTES if request.url.path == UPLOAD_PATH else MAX_BODY_BYTES
        try:
            guard(request, request.url.path, self._access)
            _check_size(request, most)
        except ApiError as error:
            await _refusal(error)(scope, receive, send)
            return
        await self._app(scope, _limited_receive(receive, most), send)


def _refusal(error: ApiError) -> JSONResponse:
    return JSONResponse(error.envelope(), error.code, headers=dict(error.headers))


def _check_size(request: Request, most: int) -> None:
    length = request.headers.get("content-length", "0")
    if not (length.isascii() and length.isdecimal()) or int(length[:20]) > most:
        raise Refused(messages.BODY_OVER_LIMIT(most=most >> 20), code=413)


def _limited_receive(receive: Any, most: int) -> Any:
    """Return a `receive` that disconnects a request whose body exceeds `most` bytes."""
    got = 0

    async def bounded() -> Any:
        nonlocal got
        message = await receive()
        got += len(message.get("body", b""))
        return {"type": "http.disconnect"} if got > most else message

    return bounded


def _send_with_headers(send: Any) -> Any:
    """Return a `send` that adds headers against content sniffing and framing, and removes CORS headers."""

    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name in [name for name in headers if name.startswith("access-control-")]:
                del headers[name]
            for name, value in _ADDED.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


def mount(
    app: FastAPI,
    queue: JobQueue,
    access: Access,
    health: Callable[[], dict[str, Any]],
    *,
    api: bool = True,
    simple_api: bool = True,
) -> None:
    """Add the routes to `app` once; a second call only replaces their service.

    Args:
        app: the host's app, or the standalone one.
        queue: the job queue, which outlives the app.
        access: the access rules.
        health: returns the host's part of `/deforum_api/health`.
        api: mount `/deforum_api/*`.
        simple_api: mount `/deforum/*`.
    """
    mounted = hasattr(app.state, "deforum")
    app.state.deforum = Service(queue, access, health)
    if mounted:
        return
    if api:
        for routes in (batches, tools, jobs, outputs, workers, settings):
            app.include_router(routes.router)
    if simple_api:
        app.include_router(simple.router)
    app.openapi_schema = None
