"""Every parser of users' text does work that grows with the length of the text and no faster.

Work is counted, not timed: the lines of ours that run. What patterns cost is seen by `test_patterns.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from types import FrameType
from typing import Any

import pytest

from deforum_api.hosts.bug_report import without_words
from deforum_api.http.security import split_list
from deforum_helpers.core.bounded_json import parse_json
from deforum_helpers.core.errors import DeforumError
from deforum_helpers.core.progress import distinct_messages
from deforum_helpers.engines.diffusion.prompt_syntax import (
    parse_attention,
    parse_prompt,
    text_at_step,
    unread_loras,
)
from deforum_helpers.image.file_headers import check_headers, orientation
from deforum_helpers.media.extraction import stem_of
from deforum_helpers.media.ffmpeg import ffmpeg_error
from deforum_helpers.output.metadata import ffmetadata
from deforum_helpers.output.paths import resolved_batch_name
from deforum_helpers.render.guides import GuideImages
from deforum_helpers.schedule import Timeline
from deforum_helpers.schedule.mask_grammar import parse_mask
from deforum_helpers.schedule.parseq import read_manifest
from deforum_helpers.schedule.prompts import interpolated_prompt_series, prompt_series
from deforum_helpers.schedule.series import numeric_series, string_series
from deforum_helpers.settings import defaults, examine_settings
from deforum_helpers.settings.files import parse_settings_text
from deforum_helpers.settings.modes import acts

TIMELINE = Timeline(frames=20, seed=1, fps=15, width=64, height=64)
LENGTH = 100_000
# Twice the text may take twice the work and a little more.
MOST_GROWTH, CONSTANT = 2.3, 2_000
# Of a text whose work is counted: long enough for every nesting to have reached its bound at half of it.
COUNTED = 6_000

Parser = Callable[[str], Any]
PARSERS: dict[str, Parser] = {
    "prompt": parse_prompt,
    "LoRA tags": unread_loras,
    "prompt at a step": lambda text: text_at_step(text, 3, 20),
    "attention": parse_attention,
    "prompts": lambda text: prompt_series({"0": text, "9": text}, TIMELINE, text, text),
    "blended prompts": lambda text: interpolated_prompt_series({"0": text, "9": text}, TIMELINE),
    "prompt key": lambda text: prompt_series({"0": "a", text: "b"}, TIMELINE),
    "schedule": lambda text: numeric_series(text, TIMELINE, "zoom"),
    "schedule's value": lambda text: numeric_series(f"0: ({text})", TIMELINE, "zoom"),
    "names": lambda text: string_series(text, TIMELINE, "sampler_schedule"),
    "names' value": lambda text: string_series(f"0: {text}", TIMELINE, "sampler_schedule"),
    "mask": lambda text: parse_mask(text, "mask_schedule"),
    "manifest": lambda text: read_manifest(text, uses_deltas=False),
    "settings": parse_settings_text,
    "JSON": parse_json,
    "prompts as text": lambda text: examine_settings({"prompts": text}),
    "old notations": lambda text: examine_settings(
        {"seed": text, "r_upscale_factor": text, "max_frames": text}
    ),
    "unknown settings": lambda text: examine_settings({text: 1}),
    "effects": lambda text: acts("hybrid_comp_alpha_schedule", defaults() | {"noise_schedule": text}),
    "placeholders": lambda text: resolved_batch_name(text, {}, datetime(2026, 1, 1)),
    "video's name": stem_of,
    "subtitles": ffmetadata,
    "ffmpeg's words": lambda text: ffmpeg_error("It", 1, text.encode("utf-8", "replace")),
    "warnings": lambda text: distinct_messages([text, text]),
    "bug report": lambda text: without_words(text, ["secret"]),
    "origins": split_list,
    "image's head": lambda text: check_headers(b"GIF89a" + text.encode("utf-8", "replace")),
    "image's text": lambda text: orientation(b"", text.encode("utf-8", "replace")),
}
# What each is fed: one of these over and over, alone, behind something, and before something that fails.
REPEATED = (
    *(
        " ",
        "1",
        "a",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "<",
        ">",
        ":",
        ",",
        '"',
        "'",
        "`",
        "\\",
        "!",
        ".",
        "-",
        "\n",
    ),
    *(
        "a:",
        ": ",
        "()",
        "[]",
        "[a|",
        "(a:1)",
        "a AND ",
        " BREAK ",
        "<lora:x:1",
        "<lora:x:1>",
        "0:(1),",
        "0: a, ",
    ),
    *(
        "1:",
        "'a',",
        "{a}",
        "{a",
        "\\'",
        '\\"',
        "0:0:",
        "--neg ",
        "`t`",
        "`",
        "[],",
        '{"a":',
        '"",',
        "0.",
        "%0d",
        "é",
    ),
    *(
        'File "a/',
        "[a:b:1]",
        "!{everywhere}&",
        "(<sky>|",
        ") ,",
        "0: (1",
        "%09d.",
        "a/b\\",
        "1 x ",
        "_gpu",
        "/",
        "&",
    ),
)
AROUND = (("", ""), ("<lora:x:", "!"), ("0: (a", "b"))


def work(parser: Parser, text: str) -> int:
    """Return how many lines of ours a parser runs."""
    lines = 0

    def local(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return local

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        return local if "deforum_" in frame.f_code.co_filename else None

    before = sys.gettrace()
    for cached in (parse_prompt, parse_attention):
        cached.cache_clear()
    sys.settrace(trace)
    try:
        with suppress(DeforumError, ValueError):
            parser(text)
    finally:
        sys.settrace(before)
    return lines


def filled(begin: str, repeated: str, end: str, length: int) -> str:
    return begin + repeated * (length // len(repeated)) + end


@pytest.mark.parametrize("name", PARSERS)
def test_work_grows_with_the_text(name: str) -> None:
    parser, slow = PARSERS[name], {}
    for repeated in REPEATED:
        for begin, end in AROUND:
            half, whole = (work(parser, filled(begin, repeated, end, n)) for n in (COUNTED // 2, COUNTED))
            if whole > MOST_GROWTH * half + CONSTANT:
                slow[begin + repeated + end] = half, whole
    assert slow == {}


@pytest.mark.parametrize("name", PARSERS)
def test_a_long_text_ends(name: str) -> None:
    """100 kB of each repetition; what is not linear in the parts that no line shows takes minutes or for ever."""
    for repeated in REPEATED:
        for begin, end in AROUND[1:]:
            with suppress(DeforumError, ValueError):
                PARSERS[name](filled(begin, repeated, end, LENGTH))


def test_the_guide_at_a_frame_is_looked_up() -> None:
    def guides(count: int) -> int:
        images = GuideImages(tuple(range(0, 2 * count, 2)), ("a",) * count)
        return work(
            lambda _: [(images.number_at(frame), images.interval_at(frame)) for frame in range(50)], ""
        )

    assert guides(2_000) <= guides(1_000) + 100
