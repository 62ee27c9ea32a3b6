"""The tab at `/` of the standalone server, built at the first request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Match

from deforum_api.http.routing import error_response
from deforum_api.queue.errors import ApiError
from deforum_api.tab import messages
from deforum_api.tab.routes import is_open

log = logging.getLogger(__name__)

TITLE_SCRIPT = Path(__file__).parents[1] / "static" / "title.js"
WAITING = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Deforum</title>
<meta http-equiv="refresh" content="1"><link rel="icon" href="data:,">
<style>:root{{color-scheme:light dark;font-family:system-ui,sans-serif}}
body{{display:grid;place-items:center;min-height:90vh}}</style></head><body><p>{text}</p></body>
</html>"""
# Unknown paths below these get the API's error envelope, never a page of the tab.
API_PATHS = ("/deforum_api/", "/deforum/")


class TabPage:
    """An ASGI app that builds the tab at the first request, so that clients of the API need not wait for it.

    Args:
        serve: puts the tab at `/` of an app; takes seconds.
    """

    def __init__(self, serve: Callable[[FastAPI], None]) -> None:
        self._serve = serve
        self._app: FastAPI | None = None
        self._living: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._routes: list[BaseRoute] = []

    @property
    def app(self) -> FastAPI | None:
        """The real one, once it is made."""
        return self._app

    def mount(self, app: FastAPI) -> None:
        """Serve the tab at `/` of `app`, behind all routes that it has, as long as `app` lives."""
        inner = app.router.lifespan_context

        @asynccontextmanager
        async def lifespan(app: Any) -> AsyncIterator[Any]:
            async with inner(app) as state:
                yield state
            await self._close()

        app.router.lifespan_context = lifespan
        self._routes = list(app.router.routes)
        app.mount("/", self)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope)
        if request.url.path.startswith(API_PATHS) or not is_open(request.method, request.url.path):
            await self._refuse(request, scope, receive, send)
        elif self._app is None:
            await self._wait(request)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _refuse(self, request: Request, scope: Any, receive: Any, send: Any) -> None:
        """Answer what came here as no route of the API took it: another method is asked for, or there is none."""
        for route in self._routes:
            match, matched = route.matches(scope)
            if match is Match.PARTIAL:
                await route.handle({**scope, **matched}, receive, send)
                return
        await error_response(_nothing_at(request))(scope, receive, send)

    def _wait(self, request: Request) -> Response:
        if self._living is None:
            self._living = asyncio.create_task(self._live())
        if self._living.done():
            return error_response(ApiError(messages.TAB_FAILED()))
        if request.url.path != "/":
            return error_response(_nothing_at(request))
        return HTMLResponse(
            WAITING.format(text=messages.TAB_STARTING()), headers={"Cache-Control": "no-store"}
        )

    async def _live(self) -> None:
        """Build the tab and keep its background tasks alive until the server ends."""
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        try:
            await asyncio.to_thread(self._serve, app)
            async with app.router.lifespan_context(app):
                self._app = app
                await self._closing.wait()
        except Exception:
            log.exception("The tab could not be made")

    async def _close(self) -> None:
        self._closing.set()
        if self._living:
            await self._living


def _nothing_at(request: Request) -> ApiError:
    return ApiError(messages.NOTHING_AT_PATH(path=request.url.path[:100]), code=404)
