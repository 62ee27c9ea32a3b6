"""Prompts and their frames in one text that is not JSON: `0: a lake | 60: 'a wood'`.

Imported where such a text is met: to compile the patterns takes as long as to import many modules.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from deforum_helpers.core.bounded_json import parse_json
from deforum_helpers.settings.files import json_object

# "0": or '16' : or max_f/2: or frame 16: or 16 => ; two colons are a weight of dynamic prompts.
_BEFORE_FRAME = r"""["'“‘]?[ \t]{0,9}(?:[Ff]rame[ \t]{1,9})?"""
_FRAME = r"[-(]{0,3}(?:[0-9]{1,9}|max_f)[-+*/0-9.()]{0,40}"
_AFTER_FRAME = r"""["'”’]?[ \t]{0,40}(?::(?!:)|=>?)"""
_ANY_KEY = _BEFORE_FRAME + _FRAME + _AFTER_FRAME
_FIRST_KEY = re.compile(f"{_BEFORE_FRAME}({_FRAME}){_AFTER_FRAME}")
# 2.5s: or -8b: or 50%: begin a key frame only after a line, a bar or a closing quote, as "80s: neon" is a prompt.
_TIMED = r"-?[0-9]{1,9}(?:\.[0-9]{1,9})?[ \t]?(?:s|b|bars?|%)"
_TIMED_KEY = _BEFORE_FRAME + _TIMED + _AFTER_FRAME
_KEY = re.compile(f"{_BEFORE_FRAME}({_TIMED}|{_FRAME}){_AFTER_FRAME}")

# After a comma 16:9 is a ratio; a line or a bar has always begun a key frame there.
_SEPARATED = rf"[|\n][,;|\s]{{0,40}}(?={_ANY_KEY}|{_TIMED_KEY})|[,;][,;|\s]{{0,40}}(?={_ANY_KEY}(?![0-9]))"
_NEXT = re.compile(_SEPARATED)
_CLOSING_QUOTE = {'"': '"', "'": "'", "“": "”", "‘": "’"}
_NEXT_AFTER = {
    opening: re.compile(
        rf"(?P<closed>{closing}\)?(?:[,;|\s]{{1,40}}(?={_ANY_KEY}|{_TIMED_KEY})|\Z))|{_SEPARATED}"
    )
    for opening, closing in _CLOSING_QUOTE.items()
}
_OPENING_QUOTE = re.compile(r"""\s{0,40}\(?(["'“‘])""")

# Text that looks like a key frame but may be part of a prompt.
_AMONG_WORDS = re.compile(rf"\s(?={_ANY_KEY}\s)")
_SECONDS = r"[0-9]{1,9}(?:\.[0-9]{1,9})?[ \t]{0,9}s(?:ec(?:onds)?)?[ \t]{0,9}:"
_AFTER_PROMPT = re.compile(rf"[,;|\n{{][ \t]{{0,40}}(?={_ANY_KEY}(?![0-9])|{_SECONDS})")
_QUOTED_LIST = re.compile(r"""(?:"[ \t]{0,40}[,;|\n]\s{0,40}"|'[ \t]{0,40}[,;|\n]\s{0,40}')""")


class AmbiguousPrompts(ValueError):
    """A text that may be one prompt or several; `place` is the index where the second may begin."""

    def __init__(self, place: int) -> None:
        super().__init__(place)
        self.place = place


class _Value(NamedTuple):
    text: str
    quoted: bool
    start: int
    end: int


def prompts_by_frame(text: str) -> dict[str, str]:
    """Return the prompts of a text by frame, empty if the whole text is one prompt.

    Frames and prompts may be quoted; commas, semicolons, bars or line breaks separate them.

    Raises:
        AmbiguousPrompts: the text has frames, but the limits of the prompts are ambiguous.
    """
    text = text.strip()
    if text.startswith('"') and (found := _json_without_braces(text)):
        return found
    # Names in double quotes mean JSON, whose own errors are more helpful.
    braced = text.startswith("{") and text.endswith("}") and not text[1:].lstrip().startswith('"')
    inside = text[1:-1].strip() if braced else text
    first = _FIRST_KEY.match(inside)
    if first is None or (first[1] != "0" and inside[first.end() : first.end() + 1].isdigit()):
        _check_single(text)
        return {}
    try:
        entries = _entries(inside.rstrip(" \t\r\n,;|"))
    except AmbiguousPrompts as unclear:
        raise AmbiguousPrompts(unclear.place + text.index(inside)) from None
    if braced and any(prompt[:1] in ("{", "[") for _, prompt in entries):
        raise AmbiguousPrompts(0)
    return json_object(entries)


def _json_without_braces(text: str) -> dict[str, str] | None:
    try:
        found = parse_json("{" + text.rstrip(" \t\r\n,") + "}", object_pairs_hook=json_object)
    except ValueError:
        return None
    return found if all(isinstance(prompt, str) for prompt in found.values()) else None


def _check_single(text: str) -> None:
    if hidden := _AFTER_PROMPT.search(text):
        raise AmbiguousPrompts(hidden.end())
    if text[:1] in "\"'" and text[:1] == text[-1:] and (following := _QUOTED_LIST.search(text)):
        raise AmbiguousPrompts(following.end() - 1)


def _entries(text: str) -> list[tuple[str, str]]:
    entries: list[tuple[str, str]] = []
    values: list[_Value] = []
    place = 0
    while (key := _KEY.match(text, place)) is not None:
        value = _value(text, key.end())
        values.append(value)
        entries.append((key[1], value.text))
        place = value.end
    for value in values:
        if len(values) > 1 and not value.quoted and _has_half_quotes(value.text):
            raise AmbiguousPrompts(value.start)
    return entries


def _value(text: str, start: int) -> _Value:
    """Return the prompt that begins at `start`; its `end` is the start of the next key frame."""
    opening = _OPENING_QUOTE.match(text, start)
    if opening is None:
        return _bare(text, start, _NEXT.search(text, start))
    skipped: int | None = None  # a key frame within the quotes
    inner = False  # a quote within the quotes
    place = opening.end()
    closing = _CLOSING_QUOTE[opening[1]]
    while found := _NEXT_AFTER[opening[1]].search(text, place):
        inner = inner or closing in text[place : found.start()]
        if found["closed"] is not None or inner:
            break
        skipped = found.end() if skipped is None else skipped
        place = found.end()
    if skipped is not None and (found is None or inner):
        raise AmbiguousPrompts(skipped)
    if found is None or found["closed"] is None:
        return _bare(text, start, found)
    return _Value(_unescaped(text[opening.end() : found.start()], closing), True, start, found.end())


def _bare(text: str, start: int, following: re.Match[str] | None) -> _Value:
    stop = following.start() if following else len(text)
    if hidden := _AMONG_WORDS.search(text, start + 1, stop):
        raise AmbiguousPrompts(hidden.end())
    end = following.end() if following else len(text)
    return _Value(text[start:stop].strip().removesuffix(",").rstrip(), False, start, end)


def _has_half_quotes(value: str) -> bool:
    return any(value.count(quote) % 2 and quote in (value[:1], value[-1:]) for quote in "\"'")


def _unescaped(value: str, quote: str) -> str:
    if quote != '"':
        return value.replace(f"\\{quote}", quote)
    try:
        plain = json.loads(f'"{value}"', strict=False)
    except ValueError:
        return value
    return str(plain)
