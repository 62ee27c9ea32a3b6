"""The frames of a run, and the variables of expressions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from deforum_helpers.schedule.functions import Value
from deforum_helpers.schedule.sound import Sound

KEY_FRAME_NAMES = ("max_f", "s", "fps", "w", "h", "pi", "e")
FRAME_NAMES = ("t", *KEY_FRAME_NAMES, "i")


@dataclass(frozen=True)
class Timeline:
    """The frames that expressions are evaluated over, and the values of their variables.

    Args:
        frames: number of frames, at least 1; `max_f` is one less.
        seed: resolved seed of the run, `s`.
        fps: frames per second of the video, `fps`.
        width: of the frames in pixels, `w`.
        height: of the frames in pixels, `h`.
        sound: the sound or the tempo of the run, or None.
    """

    frames: int
    seed: int
    fps: float
    width: int
    height: int
    sound: Sound | None = None

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ValueError(f"frames is {self.frames}; expected at least 1.")

    @property
    def max_f(self) -> int:
        """The last frame."""
        return self.frames - 1

    def constants(self) -> dict[str, Value]:
        """Return the variables that are the same at every frame."""
        return {
            "max_f": np.float64(self.max_f),
            "s": np.float64(self.seed),
            "fps": np.float64(self.fps),
            "w": np.float64(self.width),
            "h": np.float64(self.height),
            "pi": np.float64(math.pi),
            "e": np.float64(math.e),
        }

    def scope(self, first: int, end: int) -> dict[str, Value]:
        """Return all variables over the frames `first` to `end` - 1; `t` and `i` are float64 arrays (end - first,)."""
        t = np.arange(first, end, dtype=np.float64)
        return {**self.constants(), "t": t, "i": t}
