"""The text of a prompt, taken apart: additions, what is asked for and what is to be avoided, expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from deforum_helpers.errors import Problem, SettingsError
from deforum_helpers.schedule.expression import parse_expression
from deforum_helpers.schedule.keyframes import key_frame
from deforum_helpers.schedule.reading import MAX_PROBLEMS, Reading
from deforum_helpers.schedule.timeline import FRAME_NAMES, Timeline
from deforum_helpers.schedule.tree import Expression

NEGATIVE_MARK = "--neg"
SETTING = "prompts"
MAX_PROMPT_CHARACTERS = 20_000
MAX_WRITTEN_CHARACTERS = 200_000_000


class Formula(NamedTuple):
    """An expression between back-ticks, and the text it stands in."""

    expression: Expression
    reading: Reading


Piece: TypeAlias = "str | Formula | Sequence[str]"  # a sequence holds one text per frame


@dataclass(frozen=True)
class Prompt:
    """A prompt with its additions: the text, and the pieces of its two sides."""

    text: str
    positive: list[Piece]
    negative: list[Piece]

    @property
    def formulas(self) -> list[Formula]:
        """The expressions of both sides."""
        return [piece for piece in self.positive + self.negative if isinstance(piece, Formula)]


def merged_prompt(prompt: str, positive: str, negative: str) -> str:
    """Return `prompt` with the additions, and with a `--neg` if it has none."""
    mark = "" if NEGATIVE_MARK in prompt else NEGATIVE_MARK
    return f"{positive} {prompt} {mark} {negative.replace(NEGATIVE_MARK, '')}"


def split_negative(text: str) -> tuple[str, str]:
    """Return what stands before the first `--neg`, and everything after it without further marks."""
    before, _, after = text.partition(NEGATIVE_MARK)
    return before, after.replace(NEGATIVE_MARK, "")


def read_prompts(
    prompts: Mapping[str, str], timeline: Timeline, positive: str, negative: str
) -> tuple[dict[int, Prompt], list[str]]:
    if not prompts:
        allowed = 'at least one prompt by its frame, as {"0": "a cat"}'
        message = f"{SETTING}: found no prompt, allowed is {allowed}."
        raise SettingsError([Problem(message, SETTING, found="no prompt", allowed=allowed)])
    problems: list[Problem] = []
    readings = [
        Reading("animation_prompts_positive", positive),
        Reading("animation_prompts_negative", negative),
    ]
    before, after = (_pieces(reading, None, problems) for reading in readings)
    keyed: dict[int, Prompt] = {}
    for key, prompt in prompts.items():
        if len(problems) >= MAX_PROBLEMS:
            break
        reading = Reading(SETTING, prompt)
        readings.append(reading)
        try:
            frame = key_frame(key, timeline, SETTING)
        except SettingsError as error:
            problems += error.problems
            continue
        if frame in keyed:
            reading.warn(None, f"key frame {frame} is given again; the last one counts")
        mark = "" if NEGATIVE_MARK in prompt else NEGATIVE_MARK
        pieces = [*before, " ", *_pieces(reading, frame, problems), f" {mark} ", *after]
        keyed[frame] = Prompt(merged_prompt(prompt, positive, negative), *_split_pieces(pieces))
    if problems:
        raise SettingsError(problems)
    return keyed, [warning for reading in readings for warning in reading.warnings]


def _pieces(reading: Reading, frame: int | None, problems: list[Problem]) -> list[Piece]:
    """Take a prompt apart at its back-ticks."""
    text = reading.text
    if len(text) > MAX_PROMPT_CHARACTERS:
        found, allowed = f"{len(text)} characters", f"at most {MAX_PROMPT_CHARACTERS}"
        problems.append(reading.problem(0, found, allowed, frame=frame))
        return []
    pieces: list[Piece] = []
    place = 0
    while len(problems) < MAX_PROBLEMS and (opening := text.find("`", place)) >= 0:
        closing = text.find("`", opening + 1)
        if closing < 0:
            reading.warn(opening, "this back-tick has no partner and is kept as it is", frame=frame)
            break
        pieces.append(text[place:opening])
        try:
            expression = parse_expression(reading, opening + 1, closing, FRAME_NAMES, frame=frame)
            pieces.append(Formula(expression, reading))
        except SettingsError as error:
            problems += error.problems
        place = closing + 1
    return [*pieces, text[place:]]


def _split_pieces(pieces: list[Piece]) -> tuple[list[Piece], list[Piece]]:
    positive: list[Piece] = []
    negative: list[Piece] = []
    side = positive
    for piece in pieces:
        if side is positive and isinstance(piece, str) and NEGATIVE_MARK in piece:
            before, after = split_negative(piece)
            positive.append(before)
            negative.append(after)
            side = negative
        else:
            side.append(piece.replace(NEGATIVE_MARK, "") if isinstance(piece, str) else piece)
    return positive, negative


def check_size(keyed: Mapping[int, Prompt], frames: int) -> None:
    longest = max(len(prompt.text) for prompt in keyed.values())
    if longest * frames > MAX_WRITTEN_CHARACTERS:
        found = f"{longest} characters that change over {frames} frames"
        allowed = f"at most {MAX_WRITTEN_CHARACTERS // frames} characters per prompt"
        message = f"{SETTING}: found {found}, allowed is {allowed}."
        raise SettingsError([Problem(message, SETTING, found=found, allowed=allowed)])
