"""What no route has foreseen: every 500 of the app leaves its cause in the log, and its mark in the answer."""

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
from deforum_api.http.routes import batches, jobs, outputs, script, settings, simple, tools
from deforum_api.http.routing import Service, error_answer, unexpected
from deforum_api.http.security import UPLOAD_PATH, Access, check_host, guard
from deforum_api.queue.errors import ApiError, Refused
from deforum_api.queue.jobs import JobQueue

log = logging.getLogger(__name__)


class FaultLog:
    """Passes requests on to an app; what the app does not answer is answered here.

    Args:
        app: the whole app, with whatever is mounted on it.
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
            answer = error_answer(unexpected(error, scope["method"], scope["path"]))
            if not status:
                await answer(scope, receive, send)
            elif not ended:
                raise  # the server breaks off what the client would take for whole
            return
        if status == 500:
            log.warning("%s %s was answered with 500.", scope["method"], scope["path"][:200])


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
        raise Refused(messages.BODY_OVER_LIMIT(most=most >> 20), code=413)


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


def mount(
    app: FastAPI,
    queue: JobQueue,
    access: Access,
    health: Callable[[], dict[str, Any]],
    *,
    api: bool = True,
    simple_api: bool = True,
) -> None:
    """Add our routes to `app`, once; a second call only exchanges what they work with.

    Args:
        app: the host's app, or our own.
        queue: the jobs; outlives the app.
        access: who may ask for what.
        health: the facts of `/deforum_api/health` that the queue does not know.
        api: mount `/deforum_api/*`.
        simple_api: mount `/deforum/*`.
    """
    mounted = hasattr(app.state, "deforum")
    app.state.deforum = Service(queue, access, health)
    if mounted:
        return
    if api:
        for routes in (batches, tools, jobs, outputs, settings, script):
            app.include_router(routes.router)
    if simple_api:
        app.include_router(simple.router)
    app.openapi_schema = None
