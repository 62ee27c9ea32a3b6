"""Bodies: bounded while they are read, strict where JSON is lax, and never a surprise further in."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Any

from starlette.requests import Request

from deforum_api.errors import InvalidBody, Refused
from deforum_helpers.settings import json_object
from deforum_helpers.settings.wording import json_account

PLAIN_LIMIT_BYTES = 2 * 2**20
IMAGES_LIMIT_BYTES = 8 * 2**20
# Of a body that is too big: so much more is taken, for so long, before it is refused.
DRAINED_BYTES = 16 * 2**20
DRAINED_S = 5.0
MAX_DEPTH = 32
MAX_DIGITS = 300

_INLINE_IMAGE = re.compile(rb'data:image\\?/[^"&]*')


class ReadRequest(Request):
    """A request whose body was read, bounded and parsed before any route sees it."""

    whole: bytes = b""
    parsed: Any = None

    async def body(self) -> bytes:
        return self.whole

    async def json(self) -> Any:
        return self.parsed


async def read_body(request: Request) -> bytes:
    """Return the body.

    Raises:
        Refused: 413, it is longer than 8 MiB, or without its inline images longer than 2 MiB.
    """
    announced = request.headers.get("content-length", "")
    stream = request.stream()
    if announced.isdecimal() and int(announced[:20]) > IMAGES_LIMIT_BYTES:
        await _let_finish(request, stream)
        raise _too_big()
    chunks, size = [], 0
    async for chunk in stream:
        size += len(chunk)
        if size > IMAGES_LIMIT_BYTES:
            await _let_finish(request, stream)
            raise _too_big()
        chunks.append(chunk)
    whole = b"".join(chunks)
    if size > PLAIN_LIMIT_BYTES and len(_INLINE_IMAGE.sub(b"", whole)) > PLAIN_LIMIT_BYTES:
        raise _too_big()
    return whole


async def _let_finish(request: Request, stream: AsyncIterator[bytes]) -> None:
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
    """Return the value of a JSON text; of equal keys the last one holds.

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
        raise InvalidBody(f"The body is not JSON: {json_account(error)}", loc, "json_invalid") from None
    except UnicodeError:
        raise InvalidBody("The body is not valid UTF-8 text.", loc, "json_invalid") from None
    except RecursionError:
        raise _too_deep(loc) from None
    except _NumberError as error:
        raise InvalidBody(str(error), loc, "json_invalid") from None
    return value


class _NumberError(Exception):
    """A number that JSON does not have or a double does not hold."""


def _no_constant(name: str) -> Any:
    raise _NumberError(f"The body has the number {name}, which JSON does not know.")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _NumberError(f"The body has the number {text[:20]}, which is too large.")
    return value


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _NumberError(f"The body has a number of {len(text)} digits; {MAX_DIGITS} are allowed.")
    return int(text)


def _check_depth(value: Any, loc: tuple[str | int, ...]) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, (dict, list))]
        if not level:
            return
    raise _too_deep(loc)


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def envelope_problem(body: Any, field: str | None) -> str | None:
    """Return what is wrong with the outermost form of a batch, as a sentence; None where that is right.

    Args:
        body: as it was parsed.
        field: the field of the body that is wrong, or None for the body itself.
    """
    if not isinstance(body, dict):
        return f'The body must be an object, {{"deforum_settings": ...}}; found {_kind(body)}.'
    if field == "deforum_settings" and field not in body:
        return 'The body has no deforum_settings; the settings go inside it: {"deforum_settings": {...}}.'
    if field == "deforum_settings":
        found = body[field]
        odd = [one for one in found if not isinstance(one, dict)] if isinstance(found, list) else []
        among = f"{_kind(odd[0])} in the list" if odd else _kind(found)
        return f"deforum_settings must be an object of settings, or a list of such objects; found {among}."
    if field == "options_overrides":
        return f"options_overrides must be an object, or be left out; found {_kind(body[field])}."
    return None


def _kind(value: Any) -> str:
    kinds = {list: "a list", str: "text", bool: "true or false", type(None): "nothing", dict: "an object"}
    return kinds.get(type(value), "a number")


def _too_deep(loc: tuple[str | int, ...]) -> InvalidBody:
    return InvalidBody(f"The body is nested deeper than {MAX_DEPTH} levels.", loc, "json_invalid")


def _too_big() -> Refused:
    return Refused("The body is too big: 2 MiB are allowed, 8 MiB with inline images.", code=413)
