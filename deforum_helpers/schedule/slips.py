"""What people get wrong where a second colon stands between two commas, and what it plainly means."""

from __future__ import annotations

import re

from deforum_helpers.schedule.reading import Span

_TRAILING_FRAME = re.compile(r"""(?<=[\s)"'])(?:[0-9]{1,9}|"[^"]*"|'[^']*')\Z""")
_TRAILING_NAME = re.compile(r"(?<=\))\s*([A-Za-z_][^()]*)\Z")
_LONGEST_FRAME = 64
_BLANKS_AND_QUOTES = " \t\r\n'\""


def is_doubled(text: str, frame: Span, middle: Span) -> bool:
    """Tell whether `middle` is the frame once more, as in `0: 0: (1)`."""
    again = text[middle.start : middle.end].strip(_BLANKS_AND_QUOTES)
    return bool(again) and again == text[frame.start : frame.end].strip(_BLANKS_AND_QUOTES)


def two_frames(text: str, frame: Span, middle: Span) -> tuple[int, int] | None:
    """Return both numbers where `middle` is a plain frame too, as in `0: 4: (1)`, else None."""
    both = [text[span.start : span.end].strip(_BLANKS_AND_QUOTES) for span in (frame, middle)]
    if not all(re.fullmatch("[0-9]{1,9}", one) for one in both):
        return None
    return int(both[0]), int(both[1])


def missing_comma(text: str, middle: Span, words: bool) -> int | None:
    """Return where a key frame begins inside of a value, or None."""
    end = middle.end
    while end > middle.start and text[end - 1].isspace():
        end -= 1
    start = max(middle.start, end - _LONGEST_FRAME)
    match = _TRAILING_FRAME.search(text, start, end)
    if match is None and not words:
        match = _TRAILING_NAME.search(text, start, end)
    if match is None or not text[middle.start : match.start()].strip():
        return None
    return match.start(match.lastindex or 0)
