"""How one prompt's scene gives way to the next one's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.render.schedules import Script
from deforum_helpers.settings import Settings
from deforum_helpers.settings.modes import has_ending, transition

# In the middle of a morph a frame keeps this share of its usual strength, and has this share of new noise. With more
# strength and less noise the old shapes remain; the other way round, neighbouring frames have nothing in common.
MORPH_STRENGTH = 0.85
MORPH_NEW_NOISE = 0.4


@dataclass(frozen=True)
class Transition:
    """What a key frame takes of the change from one prompt to the next.

    Args:
        kind: of prompt_transition.
        begun: the frame at which the new prompt begins.
        share: of the new prompt, above 0 to 1; 1 only where the old one has no part in the frame any more.
        old, new: frames at which the two prompts stand as they have a part in this one.
    """

    kind: Literal["cut", "dissolve", "morph"]
    begun: int
    share: float
    old: int
    new: int

    def renews_at(self, index: int) -> bool:
        """Tell whether the key frame `index` is generated from nothing: it is the one at which the prompt begins."""
        return self.kind != "morph" and self.begun == index

    @property
    def dissolve(self) -> int | None:
        """The frame at which it began, if it is a dissolve."""
        return self.begun if self.kind == "dissolve" else None

    @property
    def strength_factor(self) -> float:
        """What the key frame's strength is multiplied by."""
        return 1 - (1 - MORPH_STRENGTH) * self._unrest

    @property
    def new_noise(self) -> float:
        """The least share of new noise in a frame's own."""
        return MORPH_NEW_NOISE * self._unrest

    @property
    def _unrest(self) -> float:
        """How far a morph is under way: 0 at both ends, 1 in the middle."""
        return math.sin(math.pi * self.share) if self.kind == "morph" else 0.0


def transitions_at(script: Script, places: NDArray[np.int64]) -> dict[int, Transition]:
    """Return the changes of prompts that frames lie in, by their place in `places`.

    Args:
        script: the film as it was read.
        places: (N,) frame numbers.
    """
    settings, kind = script.settings, transition(script.settings)
    near = np.zeros(len(places), bool)
    if kind != "none" and script.prompts.key_frames:
        begun = np.array(script.prompts.key_frames)
        since = places - begun[np.searchsorted(begun, places, side="right") - 1]
        near |= since < (1 if kind == "cut" else settings.prompt_transition_frames)
    if settings.seamless_loop:
        near |= places >= settings.max_frames - 1 - settings.ending_frames
    found = ((number, transition_at(script, int(places[number]))) for number in np.flatnonzero(near).tolist())
    return {number: change for number, change in found if change is not None}


def transition_at(script: Script, index: int) -> Transition | None:
    """Return the change of prompts that frame `index` lies in, or None."""
    returning = _returning(script, index)
    if returning is not None:
        return returning
    kind = transition(script.settings)
    begun, _ = script.prompts.around(index)
    if kind == "none" or begun == 0 or script.prompts.key_frames[0] == begun:
        return None
    if kind == "cut":
        return Transition("cut", begun, 1.0, begun - 1, index) if index == begun else None
    passed = passed_share(script.settings, begun, index)
    if passed >= 1 and index > begun:
        return None
    # What a model makes of two prompts changes most about the middle as it is; easing would make a jump of that.
    share = passed if kind == "morph" else eased(passed)
    return Transition("dissolve" if kind == "dissolve" else "morph", begun, share, begun - 1, index)


def _returning(script: Script, index: int) -> Transition | None:
    """Return the change back to the prompt of the first frame, in which the end of a loop lies."""
    settings, prompts = script.settings, script.prompts
    share = ending_share(settings, index) if settings.seamless_loop else 0.0
    if share == 0 or all(side[0] == side[index] for side in (prompts.positive, prompts.negative)):
        return None
    return Transition("morph", settings.max_frames - settings.ending_frames, share, index, 0)


def ending_share(settings: Settings, index: int) -> float:
    """Return how much of the end there is in frame `index`: 0 before the last ones, 1 in the last one."""
    if not has_ending(settings) or index <= 0:
        return 0.0
    left = settings.max_frames - 1 - index
    return eased(max(0.0, 1 - left / settings.ending_frames))


def passed_share(settings: Settings, begun: int, index: int) -> float:
    """Return how much of a change of prompts is over at frame `index`, above 0 to 1.

    Args:
        settings: give the length of the change.
        begun: the frame at which the new prompt begins; the first that has a share of it.
        index: frame number, >= begun.
    """
    return min((index - begun + 1) / settings.prompt_transition_frames, 1.0)


def eased(share: float) -> float:
    """Return a share 0..1 that leaves 0 and reaches 1 without a jerk."""
    return share * share * (3 - 2 * share)


def transition_frames(settings: Settings, prompt_frames: Sequence[int]) -> tuple[int, ...]:
    """Return the frames that have to be key frames so that changes of prompts begin where the prompts do."""
    return tuple(prompt_frames) if transition(settings) != "none" else ()
