"""The look that key frames are held to: that of images which the engine generates from the prompts alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.render.requests import from_noise_alone, plan_request
from deforum_helpers.render.schedules import Script
from deforum_helpers.render.transitions import Transition
from deforum_helpers.schedule import KeySeeds
from deforum_helpers.settings import Settings
from deforum_helpers.settings.modes import is_moved


@dataclass(frozen=True, slots=True)
class Stability:
    """How a key frame is held to a look.

    Args:
        share: how far, above 0 to 1.
        reference: asks for the image whose look it is.
        former: the same for the prompt before, while one scene turns into the next; else None.
        passed: how far it has turned, 0..1.
    """

    share: float
    reference: GenerateRequest
    former: GenerateRequest | None = None
    passed: float = 1.0

    @property
    def requests(self) -> tuple[GenerateRequest, ...]:
        return (self.reference,) if self.former is None else (self.reference, self.former)


class References:
    """The requests for one image for each prompt, whatever else changes while it holds."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._requests: dict[int, GenerateRequest] = {}

    def at(self, frame: int) -> GenerateRequest:
        """Return the request of the prompt that holds at `frame`."""
        begun, _ = self._script.prompts.around(frame)
        if begun not in self._requests:
            self._requests[begun] = self._reference(begun)
        return self._requests[begun]

    def _reference(self, begun: int) -> GenerateRequest:
        script, seed = self._script, max(self._script.settings.seed, 0)
        numbers, seeds = script.schedules.numbers_at(begun), KeySeeds(seed, seed, begun)
        return replace(from_noise_alone(plan_request(script, begun, numbers, seeds)), blend=None)


def plan_stability(
    settings: Settings, index: int, share: float, change: Transition | None, references: References
) -> Stability | None:
    """Return how the key frame `index` is held to a look; None = not at all.

    Args:
        settings: of the video.
        index: frame number; the first is generated as its own reference.
        share: how far it is to be held.
        change: of prompts, that the frame lies in, or None.
        references: of the video.
    """
    if index == 0 or share <= 0 or not is_moved(settings):
        return None
    if change is None or change.kind != "morph":
        return Stability(min(share, 1.0), references.at(index))
    return Stability(min(share, 1.0), references.at(change.new), references.at(change.old), change.share)
