"""What no route has foreseen: every 500 of the app leaves its cause in the log, and its mark in the answer."""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deforum_api.routing import error_answer, unexpected

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
