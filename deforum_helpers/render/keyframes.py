"""Which frames are diffused."""

from __future__ import annotations

from collections.abc import Sequence


def place_key_frames(
    distribution: str, frames: int, cadence: int, prompt_frames: Sequence[int]
) -> tuple[int, ...]:
    """Return the numbers of the diffused frames, ascending, from 0 to `frames` - 1.

    Args:
        distribution: "Off" = every `cadence` frames; "Keyframes Only" = where a prompt begins; "Additive" = both;
            "Redistributed" = as many as every `cadence` frames, the nearest of them moved to where a prompt begins.
        frames: length of the film, >= 1.
        cadence: >= 1.
        prompt_frames: frame numbers at which prompts begin.

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
    return tuple(sorted(chosen | ends))


def _moved(uniform: set[int], wanted: set[int]) -> set[int]:
    """Replace, for each wanted frame, the nearest uniform one that nobody wants."""
    chosen = set(uniform)
    for frame in sorted(wanted - uniform):
        free = chosen - wanted - {0}
        if free:
            chosen.remove(min(free, key=lambda other: (abs(other - frame), other)))
        chosen.add(frame)
    return chosen
