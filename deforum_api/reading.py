"""Bodies as they come in: bounded while they are read, and left unread by the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from deforum_api.body import IMAGES_LIMIT_BYTES, too_big
from deforum_api.errors import Busy
from deforum_api.models import Batch

# Of all bodies that are being read or checked at one moment.
HELD_LIMIT_BYTES = 128 * 2**20
LOOK_EVERY_S = 0.5

T = TypeVar("T")


class Held:
    """How many bytes of bodies a server holds. For the event loop's thread."""

    def __init__(self, limit_bytes: int = HELD_LIMIT_BYTES) -> None:
        self.now_bytes = 0
        self._limit_bytes = limit_bytes

    def take(self, count: int) -> None:
        """Hold `count` bytes more.

        Raises:
            Busy: there would be too many.
        """
        if self.now_bytes + count > self._limit_bytes:
            raise Busy
        self.now_bytes += count


class ReadRequest(Request):
    """A request whose body was read, and is parsed where checks are made.

    FastAPI documents the body by the route's model. Where it asks for the value, a model that says nothing stands in.
    """

    whole: bytes = b""

    async def body(self) -> bytes:
        return b"{}"

    async def json(self) -> Any:
        return Batch(deforum_settings={}, options_overrides=None)


async def read_body(request: Request, held: Held) -> bytes:
    """Return the body; the caller gives its length back to `held`.

    Raises:
        Refused: 413, it is longer than 8 MiB.
        Busy: too many bodies are held.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > IMAGES_LIMIT_BYTES:
        raise too_big()
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            if size + len(chunk) > IMAGES_LIMIT_BYTES:
                raise too_big()
            held.take(len(chunk))
            size += len(chunk)
            chunks.append(chunk)
    except BaseException:
        held.now_bytes -= size
        raise
    return b"".join(chunks)


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
