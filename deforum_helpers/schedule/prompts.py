"""Prompts expanded to one text per frame.

Text after the first `--neg` of a prompt is negative. An expression in backticks is replaced at every frame by its
value: "a cat (asleep:`t/max_f`)".
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, repeat
from typing import NamedTuple

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.schedule import messages
from deforum_helpers.schedule.evaluation import Evaluation
from deforum_helpers.schedule.keyframes import named_frames
from deforum_helpers.schedule.prompt_text import (
    NEGATIVE_MARK,
    NO_OWN_SETTINGS,
    SETTING,
    OwnSettings,
    Piece,
    Prompt,
    PromptExpression,
    SharedWeight,
    check_size,
    parts_of,
    read_prompts,
    weight_text,
    written,
)
from deforum_helpers.schedule.reading import Reading
from deforum_helpers.schedule.timeline import Timeline


@dataclass(frozen=True)
class PromptSeries:
    """The prompts of a run; each tuple holds one text per frame.

    Args:
        texts: the prompt as written, with additions, `--neg` and backticks.
        positive: the positive prompt, backticks evaluated.
        negative: the negative prompt, backticks evaluated; often empty.
        key_frames: the key frames within the run, ascending.
        warnings: sentences about lenient readings.
        whole: whether the prompt of each frame is final and never blended with the next.
        own: the settings that the prompt of each frame gives it; () = no prompt gives any.
    """

    texts: tuple[str, ...]
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    key_frames: tuple[int, ...]
    warnings: tuple[str, ...] = ()
    whole: bool = False
    own: tuple[OwnSettings, ...] = ()

    def own_at(self, frame: int) -> OwnSettings:
        """Return the settings that the prompt at `frame` gives it."""
        return self.own[frame] if self.own else NO_OWN_SETTINGS

    def begins_at(self, frame: int) -> bool:
        """Return whether a prompt begins at `frame`."""
        place = bisect_left(self.key_frames, frame)
        return self.key_frames[place : place + 1] == (frame,)

    def around(self, frame: int) -> tuple[int, int | None]:
        """Return the key frame of the prompt at `frame`, 0 before the first one, and the next key frame or None."""
        place = bisect_right(self.key_frames, frame)
        begun = self.key_frames[place - 1] if place else 0
        return begun, self.key_frames[place] if place < len(self.key_frames) else None


class _Stretch(NamedTuple):
    first: int
    end: int
    texts: list[str]
    positive: list[Piece]
    negative: list[Piece]


def prompt_series(
    prompts: Mapping[str, str], timeline: Timeline, positive: str = "", negative: str = ""
) -> PromptSeries:
    """Expand prompts to one per frame: each holds until the next key frame, the first one also before its own.

    Args:
        prompts: prompt by key frame; keys are frame numbers or expressions such as "max_f/2".
        timeline: the frames, and the values of names in expressions.
        positive: added before every prompt.
        negative: added to every negative prompt.

    Raises:
        SettingsError: no prompts, or keys or expressions that cannot be read or have no finite value.
    """
    keyed, warnings = read_prompts(prompts, timeline, positive, negative)
    inside = sorted(frame for frame in keyed if 0 <= frame < timeline.frames)
    outside = [frame for frame in sorted(keyed) if not 0 <= frame < timeline.frames]
    if outside:
        last = timeline.frames - 1
        warnings.append(
            messages.PROMPT_KEYS_OUTSIDE(setting=SETTING, last=last, frames=named_frames(outside))
        )
    if any(prompt.formulas for prompt in keyed.values()):
        check_size(keyed, timeline.frames)
    shown = inside or [next(iter(keyed))]
    if not inside:
        warnings.append(messages.NO_PROMPT_INSIDE(setting=SETTING, frame=shown[0]))
    ends = [*shown[1:], timeline.frames]
    starts = [0, *shown[1:]]
    stretches = [
        _held(keyed[frame], first, end) for frame, first, end in zip(shown, starts, ends, strict=True)
    ]
    series = _written(stretches, timeline, inside, warnings)
    return replace(series, own=_own_by_frame(keyed, shown, timeline.frames))


def interpolated_prompt_series(
    prompts: Mapping[str, str], timeline: Timeline, positive: str = "", negative: str = ""
) -> PromptSeries:
    """Expand prompts to one per frame, blended between two key frames by the weights of ` AND `.

    Args and raises: as `prompt_series`. Key frames beyond the last frame count as the end of a blend.
    """
    keyed, warnings = read_prompts(prompts, timeline, positive, negative)
    inside = sorted(frame for frame in keyed if 0 <= frame < timeline.frames)
    if before := sorted(frame for frame in keyed if frame < 0):
        warnings.append(messages.BLEND_BEFORE_ZERO(setting=SETTING, frames=named_frames(before)))
    check_size(keyed, timeline.frames)
    stretches = _blended_stretches(keyed, timeline.frames)
    series = _written(stretches, timeline, inside, warnings)
    return replace(series, own=_own_by_frame(keyed, sorted(keyed), timeline.frames))


def _own_by_frame(keyed: Mapping[int, Prompt], order: Sequence[int], frames: int) -> tuple[OwnSettings, ...]:
    """Return the settings that the prompts give to each frame, () if none does.

    Args:
        keyed: the prompts by key frame.
        order: the key frames that count, ascending; the first one also counts before itself.
        frames: number of frames.
    """
    if all(keyed[key].own == NO_OWN_SETTINGS for key in order):
        return ()
    return tuple(keyed[order[max(bisect_right(order, frame) - 1, 0)]].own for frame in range(frames))


def _held(prompt: Prompt, first: int, end: int) -> _Stretch:
    return _Stretch(first, end, [prompt.text] * (end - first), prompt.positive, prompt.negative)


def _blended_stretches(keyed: Mapping[int, Prompt], frames: int) -> list[_Stretch]:
    """Return adjacent ranges in order: key frames as written, blends between them."""
    ordered = sorted(keyed)
    if ordered[0] >= frames or ordered[-1] < 0:
        return [_held(next(iter(keyed.values())), 0, frames)]
    stretches = [_held(keyed[ordered[0]], 0, ordered[0])] if ordered[0] > 0 else []
    for first, second in pairwise(ordered):
        if 0 <= first < frames:
            stretches.append(_held(keyed[first], first, first + 1))
        start, end = max(first + 1, 0), min(second, frames)
        if start < end:
            stretches.append(_blend(keyed[first], keyed[second], first, second, range(start, end)))
    if ordered[-1] < frames:
        stretches.append(_held(keyed[ordered[-1]], ordered[-1], frames))
    return stretches


def _blend(from_prompt: Prompt, to_prompt: Prompt, first: int, second: int, frames: range) -> _Stretch:
    weights_to = [(frame - first) * (1 / (second - first)) for frame in frames]
    weights_from = [1 - weight for weight in weights_to]
    texts: list[list[str]] = []
    blends: list[list[Piece]] = []
    for side in (0, 1):
        raw: list[str | Sequence[str]] = []
        evaluated: list[Piece] = []
        for prompt, shares in ((from_prompt, weights_from), (to_prompt, weights_to)):
            pieces = (prompt.positive, prompt.negative)[side]
            parts = parts_of(pieces) if written(pieces).strip() else []
            for part in parts:
                joint = " AND " if raw else ""
                bracketed = len(parts) == 1 or part.whole_brackets
                opening, closing = ("(", ")") if bracketed else ("", "")
                as_written, weights = _weights(part.weight, shares)
                raw += [f"{joint} {opening}{part.source}{closing}:", as_written]
                evaluated += [f"{joint} {opening}", *part.pieces, f"{closing}:", weights]
        texts.append(_joined(raw, len(frames)))
        blends.append(evaluated)
    whole = [
        f"{positive} {NEGATIVE_MARK} {negative}" if negative else positive
        for positive, negative in zip(*texts, strict=True)
    ]
    return _Stretch(frames.start, frames.stop, whole, *blends)


def _weights(weight: float | PromptExpression, shares: Sequence[float]) -> tuple[list[str], Piece]:
    """Return the weight of a part times the share of its prompt at each frame, as written and for evaluation."""
    if isinstance(weight, PromptExpression):
        return [f"`({weight.source})*{weight_text(share)}`" for share in shares], SharedWeight(weight, shares)
    words = [weight_text(weight * share) for share in shares]
    return words, words


def _written(
    stretches: Sequence[_Stretch], timeline: Timeline, key_frames: Iterable[int], warnings: list[str]
) -> PromptSeries:
    """Evaluate the expressions in backticks and join the ranges."""
    evaluation = Evaluation(timeline)
    readings: dict[int, Reading] = {}
    texts: list[str] = []
    positive: list[str] = []
    negative: list[str] = []
    for stretch in stretches:
        texts += stretch.texts
        for pieces, side in ((stretch.positive, positive), (stretch.negative, negative)):
            formulas = [piece.formula if isinstance(piece, SharedWeight) else piece for piece in pieces]
            readings |= {
                id(one.reading): one.reading for one in formulas if isinstance(one, PromptExpression)
            }
            printed = [_printed(piece, evaluation, stretch) for piece in pieces]
            side += _joined(printed, stretch.end - stretch.first)
    problems = [problem for reading in readings.values() for problem in reading.problems]
    if problems:
        raise SettingsError(problems)
    gaps = [warning for reading in readings.values() for warning in reading.warnings]
    return PromptSeries(
        tuple(texts),
        tuple(map(str.strip, positive)),
        tuple(map(str.strip, negative)),
        tuple(key_frames),
        tuple(dict.fromkeys([*warnings, *gaps])),
    )


def _printed(piece: Piece, evaluation: Evaluation, stretch: _Stretch) -> str | Sequence[str]:
    if isinstance(piece, PromptExpression):
        return evaluation.printed(piece.reading, piece.expression, stretch.first, stretch.end)
    if isinstance(piece, SharedWeight):
        expression, reading, _ = piece.formula
        values = evaluation.whole_values(reading, expression, stretch.first, stretch.end, extra_work=20)
        return [
            weight_text(value * share) for value, share in zip(values.tolist(), piece.shares, strict=True)
        ]
    return piece


def _joined(columns: Sequence[str | Sequence[str]], frames: int) -> list[str]:
    """Return one text per frame; each column is one text for all frames or a sequence over the frames."""
    if all(isinstance(column, str) for column in columns):
        return ["".join(map(str, columns))] * frames
    rows = zip(*[repeat(column) if isinstance(column, str) else column for column in columns], strict=False)
    return list(map("".join, rows))
