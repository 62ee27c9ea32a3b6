"""Requests whose bodies are parsed outside the event loop, and work that ends when the client disconnects."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from deforum_api.http.models import Batch

LOOK_EVERY_S = 0.5

T = TypeVar("T")
# More threads than requests may wait for their checks, so that further ones can be refused.
_THREADS = ThreadPoolExecutor(64, "deforum-request")


class BufferedRequest(Request):
    """A request whose body was read, and is parsed in the checking process.

    FastAPI documents the body by the route's model; an empty model stands in for its value.
    """

    raw_body: bytes = b""

    async def body(self) -> bytes:
        return b"{}"

    async def json(self) -> Any:
        return Batch(deforum_settings={}, options_overrides=None, priority=None, webhook_url=None)


async def run_while_connected(request: Request, work: Callable[[threading.Event], T]) -> T:
    """Return the result of `work`, which runs on a thread of its own, unless the client disconnects first.

    Args:
        request: its body was read.
        work: called with an event that is set when the client has disconnected.

    Raises:
        ClientDisconnect: the client has disconnected.
    """
    gone = threading.Event()
    answer = asyncio.get_running_loop().run_in_executor(_THREADS, work, gone)
    answer.add_done_callback(_seen)
    leaving: asyncio.Future[Any] = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait([answer, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        result: T = answer.result()
        return result
    finally:
        gone.set()
        leaving.cancel()


def _seen(answer: asyncio.Future[Any]) -> None:
    """Retrieve an error that nobody awaits, so that asyncio does not log it."""
    if not answer.cancelled():
        answer.exception()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        await asyncio.sleep(LOOK_EVERY_S)
