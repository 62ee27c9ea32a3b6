"""Converts a submitted value to the type of its setting."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from deforum_helpers.core.bounded_json import parse_json
from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.files.regular import pasted_path
from deforum_helpers.settings import messages
from deforum_helpers.settings.fields import FieldInfo, Kind
from deforum_helpers.settings.messages import (
    MAX_SHOWN,
    Conversion,
    Note,
    invalid_value,
    json_fault,
    number_text,
    shown,
)
from deforum_helpers.settings.tables import canonical_sampler, canonical_scheduler, folded

MAX_TEXT = 20_000
MAX_SCHEDULE = 2 << 20
MAX_PATH = 4096
MAX_INLINE_IMAGE = 8 << 20
MAX_PROMPTS = 10_000
MAX_NAME = 200

_NUMBER = re.compile(r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_GONE = {("animation_mode", "none"): " Mode None made single images; use 2D with max_frames 1."}
_WORDS_OF_TRUTH = {"true": True, "false": False, "1": True, "0": False}


class Reading(NamedTuple):
    """A typed value, and a note for the user if it was converted."""

    value: Any
    note: Note | None = None


def read_value(info: FieldInfo, value: object) -> Reading:
    """Return `value` as a typed value of the setting `info`.

    Raises:
        SettingsError: an invalid value; one problem, for prompts one per invalid entry.
    """
    if value is None and "None" in info.choices:
        return Reading("None", Conversion("notation", info.name, shown(value), shown("None")))
    if value is None:
        return Reading(info.default, Conversion("null", info.name))
    return _READERS[info.kind](info, value)


def whole_text(info: FieldInfo, text: str, limit: int) -> str:
    """Return `text` if it can be stored.

    Raises:
        SettingsError: it is longer than `limit`, or has characters that UTF-8 cannot encode.
    """
    if len(text) > limit:
        raise invalid_value(info, text, f"text of at most {limit:,} characters (it has {len(text):,})")
    if "\x00" in text or not _encodable(text):
        raise invalid_value(info, text, "text without null characters and lone surrogates")
    return text


def json_text(info: FieldInfo, value: object) -> str:
    """Return `value` as JSON text.

    Raises:
        SettingsError: JSON cannot represent it.
    """
    try:
        text = json.dumps(value, indent=4, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError):
        raise invalid_value(info, value, "a JSON value of finite numbers and text") from None
    return text


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(info: FieldInfo, value: object, allowed: str) -> Reading:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        text = value.strip()
        number = float(text) if re.search(r"[.eE]", text) else int(text)
        return Reading(number, Conversion("text number", info.name, shown(value)))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise invalid_value(info, value, allowed)
    return Reading(value)


def _range(info: FieldInfo) -> str:
    what = "a whole number" if info.kind == "int" else "a number"
    if info.minimum is None or info.maximum is None:
        return what
    unit = f" {info.unit}" if info.unit else ""
    return f"{what} from {info.minimum:g} to {_bound(info.maximum)}{unit}"


def _bound(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:g}"


def _read_number(info: FieldInfo, value: object) -> Reading:
    allowed = _range(info)
    number, note = _number(info, value, allowed)
    if isinstance(number, float) and not math.isfinite(number):
        raise invalid_value(info, value, allowed)
    if info.kind == "int":
        if number != int(number):
            raise invalid_value(info, value, allowed)
        number = int(number)
    if not _within(info, number):
        if not info.clamped:
            raise invalid_value(info, value, allowed)
        number = min(max(number, info.minimum or 0), info.maximum or 0)
        clamped = messages.VALUE_CLAMPED(setting=info.name, found=shown(value), allowed=allowed, value=number)
        return Reading(number, clamped)
    return Reading(number, note)


def _within(info: FieldInfo, number: float) -> bool:
    return (info.minimum is None or number >= info.minimum) and (
        info.maximum is None or number <= info.maximum
    )


def _read_bool(info: FieldInfo, value: object) -> Reading:
    if isinstance(value, bool):
        return Reading(value)
    truth: bool | None = None
    if isinstance(value, str):
        truth = _WORDS_OF_TRUTH.get(value.strip().casefold())
    elif isinstance(value, (int, float)) and value in (0, 1):
        truth = bool(value)
    if truth is None:
        raise invalid_value(info, value, "true or false")
    return Reading(truth, Conversion("notation", info.name, shown(value), shown(truth)))


def is_file_name(text: str, suffixes: tuple[str, ...]) -> bool:
    """Return whether `text` is the name of a file, without a folder, that ends in one of `suffixes`."""
    whole = len(text) <= MAX_NAME and text.isprintable() and not set(text) & set("/\\:")
    return whole and text.endswith(suffixes)


def _known_choice(info: FieldInfo, name: str) -> str | None:
    known = {folded(choice): choice for choice in info.choices}.get(folded(name))
    if info.name == "sampler":
        return canonical_sampler(name) or known
    if info.name == "scheduler":
        return canonical_scheduler(name) or known
    return known


def _read_choice(info: FieldInfo, value: object) -> Reading:
    allowed = f"one of {', '.join(info.choices)}"
    if info.file_suffixes:
        allowed += f", or the name of a file that ends in {' or '.join(info.file_suffixes)}"
    if not isinstance(value, str):
        raise invalid_value(info, value, allowed)
    if value in info.choices or (info.file_suffixes and is_file_name(value, info.file_suffixes)):
        return Reading(value)
    known = _known_choice(info, value) if len(value) <= MAX_NAME else None
    if known == value:
        return Reading(value)
    if known is not None:
        return Reading(known, Conversion("notation", info.name, shown(value), shown(known)))
    gone = _GONE.get((info.name, folded(value))) if len(value) <= MAX_NAME else None
    if gone:
        raise invalid_value(info, value, allowed, gone)
    by_name = {choice.casefold(): choice for choice in info.choices}
    near = difflib.get_close_matches(value[:MAX_SHOWN].casefold(), by_name, n=1)
    raise invalid_value(info, value, allowed, f" Did you mean {by_name[near[0]]}?" if near else "")


def _read_schedule(info: FieldInfo, value: object) -> Reading:
    allowed = (
        f"a number, or text of frames and values as in {info.default if len(info.default) < 30 else '0: (1)'}"
    )
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        return Reading(whole_text(info, value, MAX_SCHEDULE))
    number, _ = _number(info, value, allowed)
    if not abs(number) <= 2**53:
        raise invalid_value(info, value, allowed)
    text = f"0: ({number_text(number)})"
    return Reading(text, Conversion("bare number", info.name, shown(value), text))


def _read_string_schedule(info: FieldInfo, value: object) -> Reading:
    if not isinstance(value, str):
        raise invalid_value(info, value, f"text of frames and names as in {info.default[:40]}")
    return Reading(whole_text(info, value, MAX_SCHEDULE))


def _read_text(info: FieldInfo, value: object) -> Reading:
    if isinstance(value, str):
        return Reading(whole_text(info, value, MAX_TEXT))
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1e20 <= value <= 1e20:
        raise invalid_value(info, value, "text")
    text = number_text(value)
    return Reading(text, messages.NUMBER_AS_TEXT(setting=info.name, found=text))


def _read_path(info: FieldInfo, value: object) -> Reading:
    if value is False:
        return Reading("", messages.FALSE_AS_EMPTY(setting=info.name))
    if not isinstance(value, str):
        raise invalid_value(info, value, "a path as text, or empty")
    path = pasted_path(value)
    if path[:5].casefold() == "data:":
        # Programs that encode images wrap the lines of their base64.
        return Reading(whole_text(info, "".join(path.split()), MAX_INLINE_IMAGE))
    if len(path) > MAX_PATH and _BASE64.fullmatch("".join(path.split())):
        raise invalid_value(
            info, value, "a path, an address, or an image as text that begins with data:image/png;base64,"
        )
    whole_text(info, path, MAX_PATH)
    if any(ord(character) < 32 for character in path):
        raise invalid_value(info, value, "a path without line breaks and control characters")
    return Reading(path)


def _read_json(info: FieldInfo, value: object) -> Reading:
    if isinstance(value, str):
        return Reading(whole_text(info, value, MAX_INLINE_IMAGE))
    if value is False:
        return Reading(info.default, messages.FALSE_AS_EMPTY(setting=info.name))
    if not isinstance(value, Mapping):
        raise invalid_value(info, value, "a JSON object, or one as text")
    text = json_text(info, dict(value))
    return Reading(whole_text(info, text, MAX_INLINE_IMAGE), messages.OBJECT_AS_TEXT(setting=info.name))


def _read_prompts(info: FieldInfo, value: object) -> Reading:
    allowed = 'an object of frames and texts, as in {"0": "a lake", "60": "a forest"}'
    if isinstance(value, str):
        raise _broken_prompts(info, value, allowed)
    if not isinstance(value, Mapping) or not value or len(value) > MAX_PROMPTS:
        raise invalid_value(info, value, f"{allowed}, with 1 to {MAX_PROMPTS:,} entries")
    prompts: dict[str, str] = {}
    problems: list[Problem] = []
    for key, prompt in value.items():
        frame = str(key) if isinstance(key, int) and abs(key) < 1e12 and not isinstance(key, bool) else key
        try:
            prompts[_prompt_part(info, "a frame", frame)] = _prompt_part(
                info, f"the prompt at {shown(frame)}", prompt
            )
        except SettingsError as error:
            problems.extend(error.problems)
    if problems:
        raise SettingsError(problems)
    return Reading(prompts)


def _broken_prompts(info: FieldInfo, text: str, allowed: str) -> SettingsError:
    from deforum_helpers.settings.prompt_lists import AmbiguousPrompts, prompts_by_frame

    try:
        prompts_by_frame(text)
    except AmbiguousPrompts as unclear:
        if not text.startswith(("{", "[")):
            found = shown(text[unclear.place :])
            column = unclear.place + 1
            message = messages.PROMPTS_UNCLEAR(setting=info.name, column=column, found=found, allowed=allowed)
            return SettingsError([Problem(message, info.name, column=column, found=found, allowed=allowed)])
    try:
        parse_json(text)
    except json.JSONDecodeError as error:
        message = messages.PROMPTS_NOT_JSON(setting=info.name, fault=json_fault(error))
        return SettingsError(
            [Problem(message, setting=info.name, column=error.pos + 1, found=shown(text), allowed=allowed)]
        )
    except ValueError:
        pass
    return invalid_value(info, text, allowed)


def _prompt_part(info: FieldInfo, name: str, part: object) -> str:
    if isinstance(part, str):
        return whole_text(info, part, MAX_TEXT)
    message = messages.PROMPT_NOT_TEXT(setting=info.name, part=name, found=shown(part))
    raise SettingsError([Problem(message, setting=info.name, found=shown(part), allowed="text")])


def _read_record(info: FieldInfo, value: object) -> Reading:
    return Reading(info.default)


_READERS: Mapping[Kind, Callable[[FieldInfo, object], Reading]] = {
    "int": _read_number,
    "float": _read_number,
    "bool": _read_bool,
    "enum": _read_choice,
    "schedule": _read_schedule,
    "string schedule": _read_string_schedule,
    "text": _read_text,
    "path": _read_path,
    "prompts": _read_prompts,
    "json": _read_json,
    "record": _read_record,
}
