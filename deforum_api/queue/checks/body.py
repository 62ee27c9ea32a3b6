"""Reading and parsing of request bodies, with limits on size, depth and numbers."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from deforum_api.queue import messages
from deforum_api.queue.errors import Busy, InvalidBody, Refused
from deforum_api.queue.record import HIGHEST_PRIORITY
from deforum_api.queue.submission import BatchTerms
from deforum_helpers.core.net.fetch import address_fault
from deforum_helpers.settings import json_object
from deforum_helpers.settings.messages import json_fault

PLAIN_LIMIT_BYTES = 2 * 2**20
IMAGES_LIMIT_BYTES = 8 * 2**20
# Of a body that is too big: so much more is taken, for so long, before it is refused.
DRAINED_BYTES = 16 * 2**20
DRAINED_S = 5.0
# Of all bodies that a server reads or checks at one moment.
HELD_LIMIT_BYTES = 128 * 2**20
# Longer bodies are read a few at a time; the others wait in the system, which costs nothing.
LONG_BYTES = 64 * 1024
READ_AT_ONCE = 2
READING_S = 5.0
MOST_WAITING = 24
MAX_DEPTH = 32
# Settings are read again when their job begins, which no other answer must wait for.
MAX_VALUES = 300_000
MAX_DIGITS = 300

if TYPE_CHECKING:
    from starlette.requests import Request

_INLINE_IMAGE = re.compile(rb'data:image\\?/[^"&]*')


class BodyBudget:
    """Limits the bytes of bodies held in memory and the number of long ones read at once; event loop thread only."""

    def __init__(self, limit_bytes: int = HELD_LIMIT_BYTES) -> None:
        self.now_bytes = 0
        self._limit_bytes = limit_bytes
        self._reading = asyncio.Semaphore(READ_AT_ONCE)
        self._waiting = 0

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Wait until few others read a long body; who reads slowly makes room for others, and costs little.

        Raises:
            Busy: too many wait.
        """
        if self._waiting >= MOST_WAITING:
            busy = Busy()
            busy.headers["Connection"] = "close"  # what is not read is not taken in either
            raise busy
        self._waiting += 1
        try:
            await self._reading.acquire()
        finally:
            self._waiting -= 1
        release = asyncio.get_running_loop().call_later(READING_S, self._reading.release)
        try:
            yield
        finally:
            if asyncio.get_running_loop().time() < release.when():
                release.cancel()
                self._reading.release()

    def take(self, count: int) -> None:
        """Account for `count` more bytes.

        Raises:
            Busy: the limit would be exceeded.
        """
        if self.now_bytes + count > self._limit_bytes:
            raise Busy
        self.now_bytes += count


async def read_body(request: Request, budget: BodyBudget | None = None) -> bytes:
    """Return the body; where it counts as `budget`, the caller gives its length back.

    Raises:
        Refused: 413, it is longer than 8 MiB.
        Busy: too many bodies are held.
    """
    announced = request.headers.get("content-length", "")
    stream = request.stream()
    if announced.isdecimal() and int(announced[:20]) > IMAGES_LIMIT_BYTES:
        await _drain(request, stream)
        raise body_too_large()
    budget = budget or BodyBudget()
    if announced.isdecimal() and int(announced) <= LONG_BYTES:
        return await _read(request, stream, budget)
    async with budget.reading():
        return await _read(request, stream, budget)


async def _read(request: Request, stream: AsyncIterator[bytes], budget: BodyBudget) -> bytes:
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in stream:
            if size + len(chunk) > IMAGES_LIMIT_BYTES:
                await _drain(request, stream)
                raise body_too_large()
            budget.take(len(chunk))
            size += len(chunk)
            chunks.append(chunk)
    except BaseException:
        budget.now_bytes -= size
        raise
    return b"".join(chunks)


def check_length(body: bytes, most_bytes: int) -> None:
    """Raise `Refused`, 413, if a body is longer than `most_bytes` without its inline images."""
    if len(body) > most_bytes and len(_INLINE_IMAGE.sub(b"", body)) > most_bytes:
        raise body_too_large()


async def _drain(request: Request, stream: AsyncIterator[bytes]) -> None:
    """Take what is left of a body that is too big, within bounds, if its connection ends with the answer.

    The server ends it then with the answer's last byte, and whatever is still under way resets it: a client that sends
    all before it reads would never see the answer. Of other connections the server itself drops what is left.
    """
    asked = request.headers.get("connection", "").casefold()
    if "close" not in asked and (request.scope.get("http_version") != "1.0" or "keep-alive" in asked):
        return

    async def rest() -> None:
        size = 0
        async for chunk in stream:
            size += len(chunk)
            if size > DRAINED_BYTES:
                return

    with suppress(asyncio.TimeoutError):  # until Python 3.11 not the built-in one
        await asyncio.wait_for(rest(), DRAINED_S)


def parse_json(body: bytes | str, loc: tuple[str | int, ...] = ("body",)) -> Any:
    """Return the value of a JSON text; of equal keys the last one counts.

    Raises:
        InvalidBody: not UTF-8, not JSON, numbers that no double holds, half surrogates, or nested too deep.
    """
    try:
        text = body.decode("utf-8-sig") if isinstance(body, bytes) else body
        value = json.loads(
            text,
            object_pairs_hook=json_object,
            parse_constant=_no_constant,
            parse_float=_float,
            parse_int=_int,
        )
        _check_depth(value, loc)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        message = messages.BODY_NOT_JSON(reason=json_fault(error))
        raise InvalidBody(message, loc, "json_invalid") from None
    except UnicodeError:
        raise InvalidBody(messages.BODY_NOT_UTF8(), loc, "json_invalid") from None
    except RecursionError:
        raise _too_deep(loc) from None
    except _NumberError as error:
        raise InvalidBody(error.args[0], loc, "json_invalid") from None
    return value


class _NumberError(Exception):
    """A number that JSON does not have or a double does not hold."""


def _no_constant(name: str) -> Any:
    raise _NumberError(messages.NUMBER_NOT_JSON(name=name))


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _NumberError(messages.NUMBER_OVERFLOWS(text=text[:20]))
    return value


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _NumberError(messages.NUMBER_TOO_LONG(digits=len(text), most=MAX_DIGITS))
    return int(text)


def _check_depth(value: Any, loc: tuple[str | int, ...]) -> None:
    level, count = [value], 1
    for _ in range(MAX_DEPTH):
        inside = [inner for outer in level for inner in _inside(outer)]
        count += len(inside)
        if count > MAX_VALUES:
            raise InvalidBody(messages.TOO_MANY_VALUES(most=MAX_VALUES), loc, "json_invalid")
        level = [inner for inner in inside if isinstance(inner, (dict, list))]
        if not level:
            return
    raise _too_deep(loc)


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def envelope(body: Any) -> dict[str, Any]:
    """Return a body that has the outermost form of a batch.

    Raises:
        InvalidBody: it has not; with one entry per wrong field.
    """
    check_fields(_envelope_problems(body))
    checked: dict[str, Any] = body
    return checked


def check_fields(problems: Iterable[tuple[tuple[str, ...], str | None]]) -> None:
    """Raise `InvalidBody`, with one entry per wrong field, if any (field, message) has a message."""
    wrong = [(loc, message) for loc, message in problems if message]
    if wrong:
        error = InvalidBody(wrong[0][1])
        error.detail = [{"loc": list(loc), "msg": message, "type": "value_error"} for loc, message in wrong]
        raise error


def _envelope_problems(body: Any) -> Iterator[tuple[tuple[str, ...], str | None]]:
    if not isinstance(body, dict):
        yield ("body",), messages.BODY_NOT_BATCH(found=kind_of_value(body))
        return
    yield ("body", "deforum_settings"), _settings_problem(body)
    yield from shared_problems(body)


OVERRIDES, PRIORITY, WEBHOOK = "options_overrides", "priority", "webhook_url"
MOST_WEBHOOK_CHARACTERS = 2000
# The fields that batches and tools share; the others of a tool are its arguments.
SHARED_FIELDS = (OVERRIDES, PRIORITY, WEBHOOK)


def shared_problems(body: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], str | None]]:
    """Yield (field, message) for each wrong one of `SHARED_FIELDS`."""
    overrides, priority, webhook = (body.get(name) for name in SHARED_FIELDS)
    if overrides is not None and not isinstance(overrides, dict):
        yield ("body", OVERRIDES), messages.OVERRIDES_NOT_OBJECT(found=kind_of_value(overrides))
    if priority is not None and not (type(priority) is int and abs(priority) <= HIGHEST_PRIORITY):
        found = f"{priority}"[:40] if type(priority) in (int, float) else kind_of_value(priority)
        yield ("body", PRIORITY), messages.PRIORITY_INVALID(most=HIGHEST_PRIORITY, found=found)
    if webhook is not None:
        yield ("body", WEBHOOK), _webhook_problem(webhook)


def _webhook_problem(found: Any) -> str | None:
    if not isinstance(found, str):
        return messages.WEBHOOK_NOT_TEXT(found=kind_of_value(found))
    if len(found) > MOST_WEBHOOK_CHARACTERS:
        return messages.WEBHOOK_TOO_LONG(most=MOST_WEBHOOK_CHARACTERS)
    fault = address_fault(found)
    return messages.WEBHOOK_REFUSED(reason=fault) if fault else None


def batch_terms(body: dict[str, Any]) -> BatchTerms:
    """Return the terms of a body without `shared_problems`."""
    return BatchTerms(priority=body.get(PRIORITY) or 0, webhook_url=(body.get(WEBHOOK) or "").strip())


def _settings_problem(body: dict[str, Any]) -> str | None:
    if "deforum_settings" not in body:
        return messages.SETTINGS_MISSING()
    found = body["deforum_settings"]
    odd = [one for one in found if not isinstance(one, dict)] if isinstance(found, list) else []
    if isinstance(found, dict) or (isinstance(found, list) and not odd):
        return None
    among = f"{kind_of_value(odd[0])} in the list" if odd else kind_of_value(found)
    return messages.SETTINGS_NOT_OBJECTS(found=among)


def kind_of_value(value: Any) -> str:
    """Return a JSON value's type in words."""
    kinds = {list: "a list", str: "text", bool: "true or false", type(None): "nothing", dict: "an object"}
    return kinds.get(type(value), "a number")


def _too_deep(loc: tuple[str | int, ...]) -> InvalidBody:
    return InvalidBody(messages.BODY_TOO_DEEP(most=MAX_DEPTH), loc, "json_invalid")


def body_too_large() -> Refused:
    return Refused(messages.BODY_TOO_LARGE(), code=413)
