"""Requests whose bodies the event loop leaves unread, and work for them that ends with their clients."""

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
# More than may wait for their checks: whoever is turned away has a thread for that.
_THREADS = ThreadPoolExecutor(64, "deforum-request")


class ReadRequest(Request):
    """A request whose body was read, and is parsed where checks are made.

    FastAPI documents the body by the route's model. Where it asks for the value, a model that says nothing stands in.
    """

    whole: bytes = b""

    async def body(self) -> bytes:
        return b"{}"

    async def json(self) -> Any:
        return Batch(deforum_settings={}, options_overrides=None)


async def while_there(request: Request, work: Callable[[threading.Event], T]) -> T:
    """Do `work` on a thread that no other answer needs, and return what it returns, unless the client goes away first.

    Args:
        request: whose body was read.
        work: is given an event that is set as soon as nobody waits for its answer.

    Raises:
        ClientDisconnect: nobody waits.
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
    """Take note of an error that nobody waits for."""
    if not answer.cancelled():
        answer.exception()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        await asyncio.sleep(LOOK_EVERY_S)
