"""The look that key frames are held to: that of reference images generated from the prompts alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.render.requests import from_noise_alone, plan_request
from deforum_helpers.render.schedules import PlanInputs
from deforum_helpers.render.transitions import Transition
from deforum_helpers.schedule import KeySeeds
from deforum_helpers.settings import Settings
from deforum_helpers.settings.modes import is_moved


@dataclass(frozen=True, slots=True)
class Stability:
    """The look that a key frame is held to.

    Args:
        share: how far the frame is moved to the look, above 0 to 1.
        reference: request for the reference image.
        former: request for the previous prompt's reference image during a morph, else None.
        passed: progress of the morph, 0..1.
    """

    share: float
    reference: GenerateRequest
    former: GenerateRequest | None = None
    passed: float = 1.0

    @property
    def requests(self) -> tuple[GenerateRequest, ...]:
        return (self.reference,) if self.former is None else (self.reference, self.former)


class LookReferences:
    """The requests for reference images: one per prompt, made at its first frame."""

    def __init__(self, inputs: PlanInputs) -> None:
        self._script = inputs
        self._requests: dict[int, GenerateRequest] = {}

    def at(self, frame: int) -> GenerateRequest:
        """Return the request for the prompt at `frame`."""
        start, _ = self._script.prompts.around(frame)
        if start not in self._requests:
            self._requests[start] = self._reference(start)
        return self._requests[start]

    def _reference(self, start: int) -> GenerateRequest:
        inputs, seed = self._script, max(self._script.settings.seed, 0)
        numbers, seeds = inputs.schedules.numbers_at(start), KeySeeds(seed, seed, start)
        return replace(from_noise_alone(plan_request(inputs, start, numbers, seeds)), blend=None)


def plan_stability(
    settings: Settings, index: int, share: float, change: Transition | None, references: LookReferences
) -> Stability | None:
    """Return the look that the key frame `index` is held to; None = none.

    Args:
        settings: checked settings.
        index: frame number; the first frame is its own reference.
        share: value of stability_schedule.
        change: transition between prompts that the frame lies in, or None.
        references: reference images of the run.
    """
    if index == 0 or share <= 0 or not is_moved(settings):
        return None
    if change is None or change.kind != "morph":
        return Stability(min(share, 1.0), references.at(index))
    return Stability(min(share, 1.0), references.at(change.new), references.at(change.old), change.share)
