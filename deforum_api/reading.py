"""Requests whose bodies the event loop leaves unread, and work for them that ends with their clients."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from deforum_api.models import Batch

LOOK_EVERY_S = 0.5

T = TypeVar("T")


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
    """Do `work` on a thread of its own, and return what it returns, unless the client goes away first.

    Args:
        request: whose body was read.
        work: is given an event that is set as soon as nobody waits for its answer.

    Raises:
        ClientDisconnect: nobody waits.
    """
    gone = threading.Event()
    answer: asyncio.Future[Any] = _on_a_thread(lambda: work(gone))
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


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        await asyncio.sleep(LOOK_EVERY_S)


def _on_a_thread(work: Callable[[], T]) -> asyncio.Future[T]:
    """Begin `work` on a daemon thread: no pool of threads that others need, and none that the program waits for."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def end(set_it: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            set_it(value)

    def run() -> None:
        try:
            told = (future.set_result, work())
        except BaseException as error:
            told = (future.set_exception, error)  # type: ignore[assignment]
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(end, *told)

    threading.Thread(target=run, name="deforum-request", daemon=True).start()
    return future
