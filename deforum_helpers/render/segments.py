"""The independent segments of a run: ranges of steps that need nothing of the frames before them.

A segment begins where every value of the state that is read from there on, by any step before it is replaced, is known
without the earlier frames: it was never changed, or it is the colour reference of a video frame, or frame 0 of a loop.
This follows from what each step reads and replaces (`READS` and `REPLACES` in `stage_order.py`), not from modes. All
other values are withheld from a segment's starting state, so that a wrong conclusion would be an error, never a
different frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, get_args

from deforum_helpers.render.key_frames import KeyFrames, Source
from deforum_helpers.render.stage_order import READS, REPLACES, Carried, Stage
from deforum_helpers.settings import Settings
from deforum_helpers.settings.modes import is_exact, is_hybrid, remembers

_NOTHING: frozenset[Carried] = frozenset()
# Sets of carried values as bits of a number: a long run has very many steps.
_BITS: dict[Carried, int] = {name: 1 << bit for bit, name in enumerate(get_args(Carried))}
_FIRST, _REFERENCE = _BITS["first"], _BITS["reference"]


class Segment(NamedTuple):
    """Steps that can be rendered without the frames before them.

    Args:
        start, stop: positions in `Plan.key_frames`; the steps start .. stop - 1.
        withheld: values of the state that earlier steps change and no step from `start` on reads.
        needs_first: whether it needs frame 0, to which a loop leads back.
        reference_frame: video frame that the color reference is taken from; None = the reference is the run's own.
    """

    start: int
    stop: int
    withheld: frozenset[Carried] = _NOTHING
    needs_first: bool = False
    reference_frame: int | None = None


class _Effect(NamedTuple):
    """The values of the state that one step reads before it replaces them, replaces, and may change.

    `takes` tells whether the color reference after the step is that of a frame.
    """

    reads: int
    replaces: int
    changes: int
    takes: bool


def independent_segments(key_frames: KeyFrames, settings: Settings) -> tuple[Segment, ...]:
    """Return the independent segments of a run, in order; a run whose frames all build on each other is one.

    Args:
        key_frames: all key frames of the run.
        settings: its settings.
    """
    effects = _effects(key_frames, settings)
    needed = _needed(effects)
    names = {bits: _names(bits) for bits in range(1 << len(_BITS))}
    begins: list[tuple[int, frozenset[Carried], bool, int | None]] = []
    changed, reference_frame, taken = 0, None, False
    for place, (effect, needs, index) in enumerate(zip(effects, needed, key_frames.indices, strict=True)):
        missing = needs & changed
        if not taken:
            missing &= ~_REFERENCE
        if not missing & ~_FIRST:
            video = reference_frame if needs & _REFERENCE else None
            begins.append((place, names[changed & ~needs], missing != 0, video))
        changed |= effect.changes
        if effect.changes & _REFERENCE:
            taken = effect.takes
            reference_frame = None if taken else index
    stops = [start for start, *_ in begins[1:]] + [len(effects)]
    return tuple(
        Segment(start, stop, withheld, needs_first, video)
        for (start, withheld, needs_first, video), stop in zip(begins, stops, strict=True)
    )


def _needed(effects: list[_Effect]) -> list[int]:
    """Return for each step the values that it or a later one reads before any step replaces them."""
    needed, later = [0] * len(effects), 0
    for place in range(len(effects) - 1, -1, -1):
        reads, replaces, _, _ = effects[place]
        later = needed[place] = reads | later & ~replaces
    return needed


def _bits(names: Iterable[Carried]) -> int:
    return sum(_BITS[name] for name in set(names))


def _names(bits: int) -> frozenset[Carried]:
    return frozenset(name for name, bit in _BITS.items() if bits & bit)


def _effects(key_frames: KeyFrames, settings: Settings) -> list[_Effect]:
    rows = zip(
        key_frames.indices,
        key_frames.stops,
        key_frames.sources,
        key_frames.stages,
        key_frames.dissolves,
        strict=True,
    )
    # A long run has few different steps; those with equal stages share one list of them.
    known: dict[tuple[str, int, bool, bool, str], _Effect] = {}
    effects = []
    for index, stop, source, stages, begun in rows:
        dissolve = "none" if begun is None else "begins" if begun == index else "continues"
        key = (source, id(stages), index == 0, stop - index > 1, dissolve)
        effect = known.get(key)
        if effect is None:
            first, between = key[2:4]
            effect = known[key] = _effect_of(
                settings, source, stages, first=first, between=between, dissolve=dissolve
            )
        effects.append(effect)
    return effects


def _effect_of(
    settings: Settings,
    source: Source,
    stages: tuple[Stage, ...],
    *,
    first: bool,
    between: bool,
    dissolve: str,
) -> _Effect:
    """Return the effect of a step on the state; follows `step` in `loop.py` line by line.

    Args:
        settings: settings of the run.
        source, stages: of its key frame.
        first: whether it is the first step.
        between: whether it has in-between frames.
        dissolve: whether a dissolve "begins" or "continues" at it, or "none".
    """
    reads: set[Carried] = set()
    # A step that begins a new scene starts without revealed areas and memory.
    replaces: set[Carried] = {"unpainted", "memory"} if source == "nothing" and not first else set()
    if source == "last_frame" or dissolve == "begins":
        reads.add("last")
    if dissolve == "continues":
        reads.add("leaving")
    for stage in stages:
        reads.update(READS.get(stage, _NOTHING) - replaces)
        replaces.update(REPLACES.get(stage, _NOTHING))
    measures = is_hybrid(settings) and settings.hybrid_motion == "Optical Flow"
    if between and measures:
        reads.add("flow")
    if "memory" not in replaces:
        reads.add("memory")  # the last frame is added to it
    changes: set[Carried] = {"last"}
    if any("reference" in REPLACES.get(stage, _NOTHING) for stage in stages):
        changes.add("reference")
    if measures:
        changes.add("flow")
    if dissolve != "none":
        changes.add("leaving")
    if first and settings.seamless_loop:
        changes.add("first")
    if is_exact(settings):
        changes.add("unpainted")
    if remembers(settings):
        changes.add("memory")
    referring = [stage for stage in stages if "reference" in REPLACES.get(stage, _NOTHING)]
    return _Effect(
        _bits(reads),
        _bits(replaces | {"last", "leaving", "unpainted"}),
        _bits(changes),
        takes=referring[-1:] == ["take_reference"],
    )
