"""The positions of key frames, and the fades between them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


def place_key_frames(
    distribution: str, frames: int, cadence: int, prompt_frames: Sequence[int], needed: Sequence[int] = ()
) -> tuple[int, ...]:
    """Return the frame numbers of the key frames, ascending, from 0 to `frames` - 1.

    Args:
        distribution: "Off" = every `cadence` frames; "Keyframes Only" = where a prompt begins; "Additive" = both;
            "Redistributed" = every `cadence` frames, with the nearest ones moved to where a prompt begins.
        frames: number of frames, >= 1.
        cadence: >= 1.
        prompt_frames: frame numbers at which prompts begin.
        needed: frame numbers that must be key frames.

    >>> place_key_frames("Off", 10, 3, (0, 5))
    (0, 3, 6, 9)
    >>> place_key_frames("Redistributed", 10, 3, (0, 5))
    (0, 3, 5, 9)
    """
    ends = {0, frames - 1}
    wanted = {frame for frame in prompt_frames if 0 <= frame < frames}
    uniform = set(range(0, frames, cadence))
    if distribution == "Off":
        chosen = uniform
    elif distribution == "Keyframes Only":
        chosen = wanted
    elif distribution == "Additive":
        chosen = uniform | wanted
    else:
        chosen = _moved(uniform, wanted)
    return tuple(sorted(chosen | ends | {frame for frame in needed if 0 <= frame < frames}))


def _moved(uniform: set[int], wanted: set[int]) -> set[int]:
    """Return `uniform` with the nearest free frame moved to each wanted one; the earlier of two."""
    free = sorted(uniform - wanted - {0})
    for frame in sorted(wanted - uniform):
        if free:
            place = bisect_left(free, frame)
            earlier = place > 0 and (place == len(free) or frame - free[place - 1] <= free[place] - frame)
            free.pop(place - 1 if earlier else place)
    return {0, *free, *wanted}


def plan_fades(frame_numbers: Sequence[int], frames: int, cadence: int) -> tuple[int, ...]:
    """Return the number of frames over which the image before each key frame fades out.

    A fade lasts up to the next key frame. Where the run ends before that one is due, the fade keeps its pace and ends
    unfinished, so that the video does not jump at its end.

    Args:
        frame_numbers: numbers of the key frames, ascending, the last one `frames` - 1.
        frames: number of frames.
        cadence: regular distance between key frames.

    >>> plan_fades((0, 4, 8, 9), 10, 4)
    (4, 4, 4, 4)
    >>> plan_fades((0, 30, 60, 89), 90, 1)
    (30, 30, 29, 29)
    """
    lengths = [stop - index for index, stop in zip(frame_numbers, (*frame_numbers[1:], frames), strict=True)]
    fades = list(lengths)
    if len(frame_numbers) > 1:
        fades[-2] = max(fades[-2], cadence)
        fades[-1] = max(fades[-2:])
    return tuple(fades)
