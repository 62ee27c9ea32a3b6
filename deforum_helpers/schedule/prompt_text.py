"""The text of a prompt, parsed: additions, positive and negative side, expressions, weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple, TypeAlias

import numpy as np

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.schedule import messages
from deforum_helpers.schedule.expression import Expression, parse_expression
from deforum_helpers.schedule.keyframes import key_frame
from deforum_helpers.schedule.reading import MAX_PROBLEMS, MAX_WARNINGS, Reading, shown
from deforum_helpers.schedule.seeds import derived_seed
from deforum_helpers.schedule.timeline import Timeline

NEGATIVE_MARK = "--neg"
SETTING = "prompts"
MAX_PROMPT_CHARACTERS = 20_000
MAX_WRITTEN_CHARACTERS = 200_000_000
WEIGHT_CHARACTERS = 30
_BRACKET = re.compile(r"\\.|[()]", re.DOTALL)
_AND = re.compile(r"\bAND\b")
_WEIGHT = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})")

# How word processors and other programs write the mark. A single hyphen counts only if it stands alone before the
# word: "dark-negative" is a word, and "negative space" is a subject of images.
_LONG = "‐‑‒–—―−﹘﹣－⸺"
_NEG = r"neg(?:ative)?(?:[_-]?prompts?)?(?![\w-])(?: ?prompts?(?= ?:))?"
_NO_SPACE = r"(?!negative +space\b)"
_MARK_SLIP = re.compile(
    rf"(?:[-{_LONG}]{{2,4}}(?:[ \t]{{1,3}}{_NO_SPACE})?|[{_LONG}][ \t]{{0,3}}(?=neg\b)|(?<!\S)[-{_LONG}]{_NO_SPACE})"
    rf"{_NEG}(?: ?:)?",
    re.IGNORECASE,
)

# --seed 5, --steps 30 and --cfg 7.5 apply to their prompt alone; without a number they are words.
_OWN_SETTING = re.compile(
    r"(?:\A|(?<=[,;])|[ \t\n]{1,9})--(seed|steps|cfg)(?![\w-])(?:[ \t]{0,9}=?[ \t]{0,9}([^\s,;]{1,40}))?"
)
_OWN_NUMBER = re.compile(r"[+-]?[0-9]{1,12}(?:\.[0-9]{1,9})?")
MAX_SEED = 2**32 - 1
MAX_STEPS = 200
MAX_CFG_SCALE = 1000.0


class OwnSettings(NamedTuple):
    """The settings that a prompt gives to its frames; None = as in the other frames.

    Args:
        seed: of its first key frame; the following ones go on by seed_behavior.
        steps: sampling steps.
        cfg_scale: CFG scale.
    """

    seed: int | None = None
    steps: int | None = None
    cfg_scale: float | None = None


NO_OWN_SETTINGS = OwnSettings()


class PromptExpression(NamedTuple):
    """An expression in backticks, its reading, and its source text."""

    expression: Expression
    reading: Reading
    source: str


class SharedWeight(NamedTuple):
    """A weight given by an expression, and the share of it at each frame of a blend."""

    formula: PromptExpression
    shares: Sequence[float]


Piece: TypeAlias = (
    "str | PromptExpression | SharedWeight | Sequence[str]"  # a sequence holds one text per frame
)


class Part(NamedTuple):
    """One of the prompts joined by AND, and its weight."""

    pieces: list[Piece]
    weight: float | PromptExpression

    @property
    def source(self) -> str:
        """The source text of the prompt, without its weight."""
        return written(self.pieces)

    @property
    def whole_brackets(self) -> bool:
        """Whether all brackets are balanced in this part; others would pair with brackets added around it."""
        opened = 0
        for bracket in _BRACKET.findall("".join(piece for piece in self.pieces if isinstance(piece, str))):
            opened += {"(": 1, ")": -1}.get(bracket, 0)
            if opened < 0:
                return False
        return opened == 0


@dataclass(frozen=True)
class Prompt:
    """A prompt with its additions: the text, the pieces of its positive and negative side, and its own settings."""

    text: str
    positive: list[Piece]
    negative: list[Piece]
    own: OwnSettings = NO_OWN_SETTINGS

    @property
    def formulas(self) -> list[PromptExpression]:
        """The expressions of both sides."""
        return [piece for piece in self.positive + self.negative if isinstance(piece, PromptExpression)]


def merged_prompt(prompt: str, positive: str, negative: str) -> str:
    """Return `prompt` with the additions, and with a `--neg` if it has none."""
    mark = "" if NEGATIVE_MARK in prompt else NEGATIVE_MARK
    return f"{positive} {prompt} {mark} {negative.replace(NEGATIVE_MARK, '')}"


def split_negative(text: str) -> tuple[str, str]:
    """Return the text before the first `--neg`, and the text after it without further marks."""
    before, _, after = text.partition(NEGATIVE_MARK)
    return before, after.replace(NEGATIVE_MARK, "")


def with_marks(text: str) -> tuple[str, tuple[str, ...]]:
    """Return `text` with misspelled marks replaced by `--neg`, and these: `--NEG`, `-- neg`, `--negative`, a long dash.

    Expressions in backticks are not changed.
    """
    slips: dict[str, None] = {}

    def mark(slip: re.Match[str]) -> str:
        if slip[0] != NEGATIVE_MARK:
            slips[slip[0]] = None
        return NEGATIVE_MARK

    pieces = text.split("`")
    last = len(pieces) - 1
    read = [
        piece if place % 2 and place < last else _MARK_SLIP.sub(mark, piece)
        for place, piece in enumerate(pieces)
    ]
    return "`".join(read), tuple(slips)


def read_prompts(
    prompts: Mapping[str, str], timeline: Timeline, positive: str, negative: str
) -> tuple[dict[int, Prompt], list[str]]:
    """Return the prompts by key frame, parsed and with their additions, and warnings.

    Raises:
        SettingsError: no prompts, or keys or expressions that cannot be read.
    """
    if not prompts:
        allowed = 'at least one prompt by its frame, as {"0": "a cat"}'
        message = messages.NO_PROMPTS(setting=SETTING, allowed=allowed)
        raise SettingsError([Problem(message, SETTING, found="no prompt", allowed=allowed)])
    problems: list[Problem] = []
    readings = [
        Reading("animation_prompts_positive", positive),
        Reading("animation_prompts_negative", negative),
    ]
    before, after = (_pieces(reading, timeline, None, problems) for reading in readings)
    positive, negative = map(_marked, readings)
    keyed: dict[int, Prompt] = {}
    key_warnings: list[str] = []
    for key, prompt in prompts.items():
        if len(problems) >= MAX_PROBLEMS:
            break
        reading = Reading(SETTING, prompt)
        readings.append(reading)
        try:
            frame, told = key_frame(key, timeline, SETTING)
        except SettingsError as error:
            problems += error.problems
            continue
        key_warnings += told
        if frame in keyed:
            reading.warn(None, messages.KEY_GIVEN_AGAIN(frame=frame))
        own = _own_settings(reading, frame, timeline, problems)
        marked = _without_own_settings(_marked(reading, frame))
        mark = "" if NEGATIVE_MARK in marked else NEGATIVE_MARK
        pieces = [*before, " ", *_pieces(reading, timeline, frame, problems, own=True), f" {mark} ", *after]
        keyed[frame] = Prompt(merged_prompt(marked, positive, negative), *_split_pieces(pieces), own)
    if problems:
        raise SettingsError(problems)
    of_texts = [warning for reading in readings for warning in reading.warnings]
    return keyed, [*key_warnings[:MAX_WARNINGS], *of_texts]


def _marked(reading: Reading, frame: int | None = None) -> str:
    """Return the text with corrected marks; each correction adds a warning."""
    text, slips = with_marks(reading.text)
    for slip in slips:
        place = reading.text.index(slip)
        clause = messages.NEGATIVE_MARK_CORRECTED(found=shown(slip), mark=NEGATIVE_MARK)
        reading.warn(place, clause, frame=frame)
    return text


def _pieces(
    reading: Reading, timeline: Timeline, frame: int | None, problems: list[Problem], *, own: bool = False
) -> list[Piece]:
    """Split a prompt at its backticks; `own` says whether it may have settings of its own."""
    text = reading.text
    if len(text) > MAX_PROMPT_CHARACTERS:
        found, allowed = str(len(text)), f"at most {MAX_PROMPT_CHARACTERS} characters"
        problems.append(
            reading.problem(0, messages.PROMPT_TOO_LONG, found=found, allowed=allowed, frame=frame)
        )
        return []
    pieces: list[Piece] = []
    place = 0
    while len(problems) < MAX_PROBLEMS and (opening := text.find("`", place)) >= 0:
        closing = text.find("`", opening + 1)
        if closing < 0:
            reading.warn(opening, messages.UNPAIRED_BACKTICK(), frame=frame)
            break
        pieces.append(_literal(text[place:opening], own))
        try:
            expression = parse_expression(
                reading, opening + 1, closing, timeline.names, timeline.functions, frame=frame
            )
            pieces.append(PromptExpression(expression, reading, text[opening + 1 : closing]))
        except SettingsError as error:
            problems += error.problems
        place = closing + 1
    return [*pieces, _literal(text[place:], own)]


def _literal(text: str, own: bool) -> str:
    """Return text between expressions with corrected marks, and without settings of its own where it may have some."""
    marked = with_marks(text)[0]
    return _OWN_SETTING.sub(_own_removed, marked) if own else marked


def _own_removed(found: re.Match[str]) -> str:
    return "" if _OWN_NUMBER.fullmatch(found[2] or "") else found[0]


def _own_settings(reading: Reading, frame: int, timeline: Timeline, problems: list[Problem]) -> OwnSettings:
    """Return the settings in a prompt; of two of a kind the last one counts. Adds problems and warnings."""
    own = NO_OWN_SETTINGS
    if "--" not in reading.text:
        return own
    for place, found in _own_found(reading.text):
        name, written = found[1], found[2] or ""
        if not _OWN_NUMBER.fullmatch(written):
            clause = messages.OWN_SETTING_WITHOUT_NUMBER(
                name=f"--{name}", found=shown(written) if written else "nothing"
            )
            reading.warn(place + found.start(1) - 2, clause, frame=frame)
            continue
        low, high = {"seed": (-1, MAX_SEED), "steps": (1, MAX_STEPS), "cfg": (0, MAX_CFG_SCALE)}[name]
        number = float(written)
        if not low <= number <= high or (name != "cfg" and number != int(number)):
            allowed = (
                f"--{name} with a {'number' if name == 'cfg' else 'whole number'} from {low} to {high:.15g}"
            )
            problems.append(
                reading.problem(
                    place + found.start(2),
                    messages.OWN_SETTING_OUT_OF_RANGE,
                    found=shown(written),
                    allowed=allowed,
                    frame=frame,
                )
            )
        elif name == "cfg":
            own = own._replace(cfg_scale=number)
        elif name == "steps":
            own = own._replace(steps=int(number))
        else:
            seed = int(number) if number >= 0 else derived_seed("prompt", timeline.seed, frame)
            own = own._replace(seed=seed)
    return own


def _own_found(text: str) -> Iterator[tuple[int, re.Match[str]]]:
    """Yield the settings of a prompt outside its expressions, each with the index of its piece in the text."""
    place, pieces = 0, text.split("`")
    for number, piece in enumerate(pieces):
        if number % 2 == 0 or number == len(pieces) - 1:
            yield from ((place, found) for found in _OWN_SETTING.finditer(piece))
        place += len(piece) + 1


def _without_own_settings(text: str) -> str:
    """Return a prompt without its own settings; expressions in backticks stay."""
    pieces = text.split("`")
    last = len(pieces) - 1
    return "`".join(
        piece if number % 2 and number < last else _OWN_SETTING.sub(_own_removed, piece)
        for number, piece in enumerate(pieces)
    )


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


def written(pieces: Sequence[Piece]) -> str:
    """Return the source text of pieces."""
    return "".join(
        f"`{piece.source}`" if isinstance(piece, PromptExpression) else str(piece) for piece in pieces
    )


def parts_of(pieces: Sequence[Piece]) -> list[Part]:
    """Return the prompts joined by AND, as hosts parse them: also inside brackets, and with a number after the last
    colon as the weight.
    """
    parts: list[list[Piece]] = [[]]
    for is_text, group in groupby(pieces, lambda piece: isinstance(piece, str)):
        if not is_text:
            parts[-1] += group
            continue
        first, *others = _AND.split("".join(map(str, group)))
        parts[-1].append(first)
        parts += [[other] for other in others]
    return [_weighted(part) for part in parts]


def _weighted(pieces: list[Piece]) -> Part:
    last = pieces[-1]
    if not isinstance(last, str):
        return Part(pieces, 1.0)
    before, colon, number = last.rpartition(":")
    if colon and _WEIGHT.fullmatch(number.strip()):
        return Part([*pieces[:-1], before], float(number))
    if len(pieces) > 2 and not last.strip():
        text, formula = pieces[-3:-1]
        if isinstance(formula, PromptExpression) and isinstance(text, str) and text.rstrip().endswith(":"):
            return Part([*pieces[:-3], text.rstrip()[:-1]], formula)
    return Part(pieces, 1.0)


def weight_text(weight: float) -> str:
    """Return a weight without an exponent, which not every host can read."""
    text = repr(weight)
    return np.format_float_positional(weight, trim="0") if "e" in text else text


def check_size(keyed: Mapping[int, Prompt], frames: int) -> None:
    """Refuse prompts that would fill the memory when they are written for every frame.

    Raises:
        SettingsError: more than `MAX_WRITTEN_CHARACTERS` over all frames.
    """
    longest = max(
        len(prompt.text) + WEIGHT_CHARACTERS * prompt.text.count("AND") for prompt in keyed.values()
    )
    if longest * frames > MAX_WRITTEN_CHARACTERS:
        found = f"{longest} characters that change over {frames} frames"
        allowed = f"at most {MAX_WRITTEN_CHARACTERS // frames} characters per prompt"
        message = messages.PROMPTS_TOO_LONG(setting=SETTING, found=found, allowed=allowed)
        raise SettingsError([Problem(message, SETTING, found=found, allowed=allowed)])
