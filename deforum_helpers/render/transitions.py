"""Transitions between the scenes of two prompts, and the blend into the end of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.render.schedules import PlanInputs
from deforum_helpers.settings import Settings
from deforum_helpers.settings.modes import has_ending, transition

# Share of the usual strength, and of new noise, in the middle of a morph. With more strength and less noise the old
# shapes remain; the other way round, consecutive frames have nothing in common.
MORPH_STRENGTH = 0.85
MORPH_NEW_NOISE = 0.4


@dataclass(frozen=True)
class Transition:
    """The transition between two prompts at a key frame.

    Args:
        kind: value of prompt_transition.
        start: frame at which the new prompt begins.
        share: share of the new prompt, above 0 to 1; 1 = the old prompt has no part in the frame.
        old, new: frame numbers whose prompts are blended.
    """

    kind: Literal["cut", "dissolve", "morph"]
    start: int
    share: float
    old: int
    new: int

    def renews_at(self, index: int) -> bool:
        """Tell whether the key frame `index` is generated without an init image: where a cut or dissolve begins."""
        return self.kind != "morph" and self.start == index

    @property
    def dissolve(self) -> int | None:
        """Frame at which the dissolve began; None for other kinds."""
        return self.start if self.kind == "dissolve" else None

    @property
    def strength_factor(self) -> float:
        """Factor of the key frame's strength."""
        return 1 - (1 - MORPH_STRENGTH) * self.intensity

    @property
    def new_noise(self) -> float:
        """Smallest share of new noise with inverted noise."""
        return MORPH_NEW_NOISE * self.intensity

    @property
    def intensity(self) -> float:
        """Intensity of a morph: 0 at both ends, 1 in the middle."""
        return math.sin(math.pi * self.share) if self.kind == "morph" else 0.0


def transitions_at(inputs: PlanInputs, frame_numbers: NDArray[np.int64]) -> dict[int, Transition]:
    """Return the transitions that frames lie in, by position in `frame_numbers`.

    Args:
        inputs: settings, schedules and prompts of the run.
        frame_numbers: (N,) numbers of the frames.
    """
    settings, kind = inputs.settings, transition(inputs.settings)
    near = np.zeros(len(frame_numbers), bool)
    if kind != "none" and inputs.prompts.key_frames:
        start = np.array(inputs.prompts.key_frames)
        since = frame_numbers - start[np.searchsorted(start, frame_numbers, side="right") - 1]
        near |= since < (1 if kind == "cut" else settings.prompt_transition_frames)
    if settings.seamless_loop:
        near |= frame_numbers >= settings.max_frames - 1 - settings.ending_frames
    found = (
        (number, transition_at(inputs, int(frame_numbers[number])))
        for number in np.flatnonzero(near).tolist()
    )
    return {number: change for number, change in found if change is not None}


def transition_at(inputs: PlanInputs, index: int) -> Transition | None:
    """Return the transition that frame `index` lies in, or None."""
    returning = _returning(inputs, index)
    if returning is not None:
        return returning
    kind = transition(inputs.settings)
    start, _ = inputs.prompts.around(index)
    if kind == "none" or start == 0 or inputs.prompts.key_frames[0] == start:
        return None
    if kind == "cut":
        return Transition("cut", start, 1.0, start - 1, index) if index == start else None
    passed = transition_progress(inputs.settings, start, index)
    if passed >= 1 and index > start:
        return None
    # The image of two blended prompts changes fastest around the middle anyway; easing would make that a jump.
    share = passed if kind == "morph" else smoothstep(passed)
    return Transition("dissolve" if kind == "dissolve" else "morph", start, share, start - 1, index)


def _returning(inputs: PlanInputs, index: int) -> Transition | None:
    """Return the morph back to the first frame's prompt at the end of a loop, or None."""
    settings, prompts = inputs.settings, inputs.prompts
    share = ending_share(settings, index) if settings.seamless_loop else 0.0
    if share == 0 or all(side[0] == side[index] for side in (prompts.positive, prompts.negative)):
        return None
    return Transition("morph", settings.max_frames - settings.ending_frames, share, index, 0)


def ending_share(settings: Settings, index: int) -> float:
    """Return the share of the end image in frame `index`: 0 before the ending, 1 in the last frame."""
    if not has_ending(settings) or index <= 0:
        return 0.0
    left = settings.max_frames - 1 - index
    return smoothstep(max(0.0, 1 - left / settings.ending_frames))


def transition_progress(settings: Settings, start: int, index: int) -> float:
    """Return the progress of a transition at frame `index`, above 0 to 1.

    Args:
        settings: checked settings.
        start: frame at which the new prompt begins, the first one with a share above 0.
        index: frame number, >= start.
    """
    return min((index - start + 1) / settings.prompt_transition_frames, 1.0)


def smoothstep(share: float) -> float:
    """Return the smoothstep 3s² - 2s³ of a share 0..1."""
    return share * share * (3 - 2 * share)


def transition_frames(settings: Settings, prompt_frames: Sequence[int]) -> tuple[int, ...]:
    """Return the frames that must be key frames so that transitions begin where the prompts do."""
    return tuple(prompt_frames) if transition(settings) != "none" else ()
