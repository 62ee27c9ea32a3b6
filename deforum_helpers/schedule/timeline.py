"""The frames of a run, and the variables of expressions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from deforum_helpers.schedule.functions import FUNCTIONS, Function, Value
from deforum_helpers.schedule.sound import HEARING, SOUND_FUNCTIONS, TEMPO_FUNCTIONS, Hearing, Sound

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

    @property
    def names(self) -> tuple[str, ...]:
        """The variables of expressions."""
        return (*FRAME_NAMES, *self.sound.names) if self.sound is not None else FRAME_NAMES

    @property
    def key_names(self) -> tuple[str, ...]:
        """The variables of keys, which are the same at every frame."""
        return (*KEY_FRAME_NAMES, "bpm") if self.sound is not None else KEY_FRAME_NAMES

    @property
    def functions(self) -> Mapping[str, Function]:
        """The functions of expressions and keys."""
        if self.sound is None:
            return FUNCTIONS
        return SOUND_FUNCTIONS if self.sound.find_levels is not None else TEMPO_FUNCTIONS

    def constants(self) -> Scope:
        """Return the variables that are the same at every frame."""
        return Scope(
            self,
            max_f=np.float64(self.max_f),
            s=np.float64(self.seed),
            fps=np.float64(self.fps),
            w=np.float64(self.width),
            h=np.float64(self.height),
            pi=np.float64(math.pi),
            e=np.float64(math.e),
        )

    def scope(self, first: int, end: int) -> Scope:
        """Return all variables over the frames `first` to `end` - 1; `t` and `i` are float64 arrays (end - first,)."""
        scope = self.constants()
        scope["t"] = scope["i"] = np.arange(first, end, dtype=np.float64)
        return scope


class Scope(dict[str, Value]):
    """The values of variables by name; those of the sound are computed when an expression reads them."""

    def __init__(self, timeline: Timeline, **values: Value) -> None:
        super().__init__(values)
        self.timeline = timeline

    def __missing__(self, name: str) -> Value:
        sound, fps = self.timeline.sound, self.timeline.fps
        if sound is None:
            raise KeyError(name)
        if name == HEARING:
            value: Value = Hearing(sound, fps)
        elif "t" in self:
            value = sound.at(name, self["t"], fps)
        else:  # in a key, where there is no time
            value = np.float64(sound.beats.bpm)
        self[name] = value
        return value

    def since_start(self) -> Scope:
        """Return the variables over all frames from 0 to the last one here."""
        return self.timeline.scope(0, int(np.max(self["t"])) + 1)
